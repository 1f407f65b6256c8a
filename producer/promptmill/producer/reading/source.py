"""Where prompts come from: a file, or standard input spooled to one."""

import hashlib
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from promptmill.producer.reading import gunzip
from promptmill.producer.reading.lines import Block, Line, split_blocks, split_lines
from promptmill.producer.reading.unreadable import unreadable
from promptmill.schema.errors import InputError
from promptmill.schema.private import private_folder

_CHUNK_BYTES = 1 << 18
_HEAD_BYTES = 1 << 16
_FIX_PATH = "give the path of a file of prompts, or - for standard input"
_FIX_ADDRESS = "fetch it first: curl -fsSL ADDRESS | promptmill run - ..."
_CAPS = gunzip.UnpackCaps()


class Input:
    """Bytes that can be read more than once. Close it, or use it in `with`."""

    def __init__(self, path: Path, *, name: str, spooled: bool = False) -> None:
        self.path, self.name = path, name
        self._spooled = spooled
        self._sha256: bytes | None = None

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the raw bytes; taken in the first whole pass, or now if there was none."""
        if self._sha256 is None:
            for _ in self.raw_chunks():
                pass
        assert self._sha256 is not None  # noqa: S101  set at the end of each pass
        return self._sha256

    @property
    def size_bytes(self) -> int:
        """Size of the raw bytes."""
        return self.path.stat().st_size

    @property
    def folder(self) -> Path:
        """Where files are that its prompts name; of standard input, where the command was typed."""
        return Path.cwd() if self._spooled else self.path.parent

    def raw_chunks(self) -> Iterator[bytes]:
        """Yield the file's bytes, and hash them on the way.

        Raises InputError at the end of a pass whose bytes differ from those of the pass before.
        """
        digest = hashlib.sha256()
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
        if self._sha256 not in (None, digest.digest()):
            raise self.changed()
        self._sha256 = digest.digest()

    def chunks(self, caps: gunzip.UnpackCaps = _CAPS) -> Iterator[bytes]:
        """Yield the unpacked bytes: gzip is recognised by its first two bytes."""
        if self._starts_with(gunzip.MAGIC):
            return gunzip.gunzip(self.raw_chunks(), file=self.name, caps=caps)
        return self.raw_chunks()

    def lines(self, max_bytes: int, *, blank: bool = False) -> Iterator[Line]:
        """Yield the lines, blank ones only if *blank*. Raises InputError at one too long."""
        return split_lines(self.chunks(), file=self.name, max_bytes=max_bytes, blank=blank)

    def blocks(self, max_bytes: int) -> Iterator[Block]:
        """Yield the lines by the hundred. Raises InputError as `split_blocks` does."""
        return split_blocks(self.chunks(), file=self.name, max_bytes=max_bytes)

    def head(self) -> bytes:
        """Read the first unpacked bytes: all of a short input, else at least 64 KiB."""
        found = b""
        for chunk in self.chunks():
            found += chunk
            if len(found) >= _HEAD_BYTES:
                break
        return found[:_HEAD_BYTES]

    def refused(self, *, problem: str, fix: str, value: str = "") -> InputError:
        """Make the error that refuses all of it."""
        return InputError(problem, file=self.name, line=0, value=value, fix=fix)

    def changed(self) -> InputError:
        """Make the error for bytes that are not those of another pass."""
        return self.refused(
            problem="the file changed while it was read",
            fix="type the command again when nobody writes to the file",
            value=str(self.path),
        )

    def _starts_with(self, magic: bytes) -> bool:
        with self.path.open("rb") as file:
            return file.read(len(magic)) == magic

    def close(self) -> None:
        """Remove the spooled copy of standard input, if this is one."""
        if self._spooled:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_input(path: str | Path, spool_dir: Path, *, stdin: BinaryIO | None = None) -> Input:
    """Open *path*, or standard input for `-`. What can be read only once goes to *spool_dir*.

    Raises InputError if there is no such file, or it cannot be read.
    """
    if str(path) == "-":
        return _spool(stdin or sys.stdin.buffer, "standard input", spool_dir)
    given, path = str(path), Path(path)
    try:
        with path.open("rb") as file:
            if stat.S_ISREG(path.stat().st_mode):
                return Input(path, name=str(path))
            return _spool(file, str(path), spool_dir)  # a pipe, such as <(zcat ...)
    except OSError as error:
        raise InputError(
            problem=f"the input cannot be read: {unreadable(error)}",
            file=given,
            line=0,
            value=given,
            fix=_FIX_ADDRESS if "://" in given else _FIX_PATH,
        ) from None


def _spool(stream: BinaryIO, name: str, spool_dir: Path) -> Input:
    """Copy *stream* to a file that only this user can read."""
    private_folder(spool_dir)
    with tempfile.NamedTemporaryFile(dir=spool_dir, prefix="input-", delete=False) as copy:
        spooled = Input(Path(copy.name), name=name, spooled=True)
        try:
            shutil.copyfileobj(stream, copy, _CHUNK_BYTES)
        except BaseException:
            spooled.close()
            raise
    return spooled
