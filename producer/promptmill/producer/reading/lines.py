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

    def refused(self, *, problem: str, fix: str, value: str | None = None) -> InputError:
        """Make the error that refuses this line; *value* is the part at fault, else the line."""
        if value is None:
            value = self.raw[:_SHOWN_BYTES].decode("utf-8", "replace")
        # One more than is shown, so that the error can tell that it was cut.
        return InputError(problem, file=self.file, line=self.number, value=value[:121], fix=fix)


def split_lines(chunks: Iterable[bytes], *, file: str, max_bytes: int) -> Iterator[Line]:
    r"""Yield the lines of *chunks* that are not blank, without a byte order mark.

    Only `\n` ends a line; JSON and the other formats take a `\r` before it as white space. Holds
    at most *max_bytes* and one chunk. Raises InputError at the first line longer than *max_bytes*.
    """
    number, held, held_bytes = 1, list[bytes](), 0
    for chunk in _without_bom(chunks):
        first, *rest = chunk.split(b"\n")
        held.append(first)
        held_bytes += len(first)
        if held_bytes > max_bytes:
            raise _too_long(Line(file, number, b"".join(held)[:_SHOWN_BYTES]), max_bytes)
        if not rest:
            continue
        last = rest.pop()
        for raw in (b"".join(held), *rest):
            if len(raw) > max_bytes:
                raise _too_long(Line(file, number, raw[:_SHOWN_BYTES]), max_bytes)
            if raw and not raw.isspace():
                yield Line(file, number, raw)
            number += 1
        held, held_bytes = [last], len(last)
    yield from _last_line(Line(file, number, b"".join(held)), max_bytes)


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
