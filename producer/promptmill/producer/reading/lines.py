"""A file as numbered lines, in bounded memory."""

from collections.abc import Iterable, Iterator

import msgspec

from promptmill.schema.errors import InputError

BOM = b"\xef\xbb\xbf"
_SHOWN_BYTES = 480  # 120 characters of at most four bytes


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of an input: what every refusal points at."""

    file: str
    number: int
    """1-based, blank lines counted"""
    raw: bytes
    """without its newline"""
    unit: str = "line"
    """what is counted: `line`, or `row` where a file has no lines"""

    def refused(self, *, problem: str, fix: str, value: str | None = None) -> InputError:
        """Make the error that refuses this line; *value* is the part at fault, else the line."""
        if value is None:
            value = self.raw[:_SHOWN_BYTES].decode("utf-8", "replace")
        # One more than is shown, so that the error can tell that it was cut.
        return InputError(
            problem, file=self.file, line=self.number, value=value[:121], fix=fix, unit=self.unit
        )

    def text(self) -> str:
        """Read it as UTF-8 text. Raises InputError for other bytes, and for NUL."""
        try:
            text = self.raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.not_utf8(error) from None
        if "\0" in text:
            at = text.index("\0")
            raise self.refused(
                problem=f"character {at + 1} of the line is a NUL",
                fix="remove it: databases and providers refuse it",
                value=text[max(0, at - 40) : at + 40],
            )
        return text

    def not_utf8(self, error: UnicodeDecodeError) -> InputError:
        """Make the error that refuses this line for its bytes."""
        near = self.raw[max(0, error.start - 20) : error.start + 60]
        return self.refused(
            problem=f"byte {error.start + 1} of the line is not UTF-8",
            fix="save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 FILE)",
            value=near.decode("utf-8", "backslashreplace"),
        )


class Block(msgspec.Struct, frozen=True, gc=False):
    """Some lines of an input, that lie together."""

    file: str
    first: int
    """number of the first of them"""
    raw: bytes
    """with their newlines; only the last line of an input may have none"""

    def lines(self, max_bytes: int, *, blank: bool = False) -> Iterator[Line]:
        """Yield the lines, blank ones where *blank* says so. Raises InputError at one too long."""
        *whole, last = self.raw.split(b"\n")
        for number, raw in enumerate(whole, self.first):
            if len(raw) > max_bytes:
                raise _too_long(Line(self.file, number, raw[:_SHOWN_BYTES]), max_bytes)
            if blank or (raw and not raw.isspace()):
                yield Line(self.file, number, raw)
        yield from _last_line(Line(self.file, self.first + len(whole), last), max_bytes)


def split_blocks(chunks: Iterable[bytes], *, file: str, max_bytes: int) -> Iterator[Block]:
    r"""Yield *chunks* cut between lines, without a byte order mark.

    Only `\n` ends a line; JSON and the other formats take a `\r` before it as white space. Holds
    at most *max_bytes* and one chunk. Raises InputError where a line is longer than *max_bytes* for
    sure; others that are, are in a block.
    """
    number, held, held_bytes = 1, list[bytes](), 0
    for chunk in _without_bom(chunks):
        end = chunk.rfind(b"\n") + 1
        if end:
            raw = b"".join((*held, chunk[:end]))
            yield Block(file, number, raw)
            number += raw.count(b"\n")
            held, held_bytes = [], 0
        held.append(chunk[end:])
        held_bytes += len(chunk) - end
        if held_bytes > max_bytes:
            raise _too_long(Line(file, number, b"".join(held)[:_SHOWN_BYTES]), max_bytes)
    yield Block(file, number, b"".join(held))


def split_lines(
    chunks: Iterable[bytes], *, file: str, max_bytes: int, blank: bool = False
) -> Iterator[Line]:
    """Yield the lines of *chunks*, as `Block.lines` does."""
    for block in split_blocks(chunks, file=file, max_bytes=max_bytes):
        yield from block.lines(max_bytes, blank=blank)


def _last_line(line: Line, max_bytes: int) -> Iterator[Line]:
    """Yield what follows the last newline, if there is anything."""
    if len(line.raw) > max_bytes:
        raise _too_long(line, max_bytes)
    if line.raw and not line.raw.isspace():
        yield line


def _without_bom(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Drop the UTF-8 byte order mark, even where it is cut over two chunks."""
    start = b""
    stream = iter(chunks)
    for chunk in stream:
        start += chunk
        if len(start) >= len(BOM):
            break
    yield start.removeprefix(BOM)
    yield from stream


def _too_long(line: Line, max_bytes: int) -> InputError:
    return line.refused(
        problem=f"the line is longer than {max_bytes:,} bytes",
        fix="give one prompt a line, and large documents in parts",
    )
