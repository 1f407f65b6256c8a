"""Where an export goes: a file that is there whole or not at all, or one that is open already."""

import gzip
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from promptmill.schema.errors import UsageError

_BUFFER = 1 << 20


@contextmanager
def placed(places: Sequence[Path | IO[bytes]]) -> Iterator[list[IO[bytes]]]:
    """Open a file for each of *places*; at the end of the block they get their names, last first.

    After an error nothing is left of them, and what had their names before is as it was. A path
    that ends in `.gz` is compressed. A device or a pipe, and a file that is open already, is
    written as it goes. Raises UsageError for a path that cannot be written.
    """
    with ExitStack() as files:
        parts = [_Part(place, files) for place in places]
        yield [part.file for part in parts]
        for part in parts:
            part.finish()
        for part in reversed(parts):
            part.name()


class _Part:
    """One file while it is written: beside its place, under another name."""

    def __init__(self, place: Path | IO[bytes], files: ExitStack) -> None:
        self._target: Path | None = None
        self._partial: Path | None = None
        if isinstance(place, Path):
            self._raw = self._open(place, files)
        else:
            self._raw = place
        self.file = self._raw
        if isinstance(place, Path) and place.suffix == ".gz":
            zipped = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._raw, mtime=0)
            self.file = io.BufferedWriter(cast("io.RawIOBase", zipped), _BUFFER)
            files.callback(self.file.close)

    def finish(self) -> None:
        """Bring all of it to the disk."""
        if self.file is not self._raw:
            self.file.close()
        self._raw.flush()
        if self._partial is not None:
            os.fsync(self._raw.fileno())

    def name(self) -> None:
        """Give it its name."""
        if self._partial is not None and self._target is not None:
            self._partial.replace(self._target)

    def _open(self, path: Path, files: ExitStack) -> IO[bytes]:
        written = self._target = path.resolve()
        if written.is_dir():
            msg = f"{path} is a folder: name a file in it"
            raise UsageError(msg)
        if written.is_file() or not written.exists():
            written = self._partial = written.with_name(f".{written.name}.{os.getpid()}.partial")
            files.callback(written.unlink, missing_ok=True)
        try:
            return files.enter_context(written.open("wb", buffering=_BUFFER))
        except OSError as error:
            msg = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
            raise UsageError(msg) from None
