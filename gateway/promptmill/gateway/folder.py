"""Where the bytes of clients' files lie: one folder, a file each, named by its id.

A file has its name only once it is whole and on the disk. With several gateways it is a folder
that they share.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from time import time

from promptmill.schema.private import private_folder

_PARTIAL = ".partial"


def new_id(kind: str) -> str:
    """Make an id that nobody can guess: `file-…`, `batch_…`."""
    return kind + uuid.uuid4().hex


class FileFolder:
    """The folder. Ids are ours, never a client's words."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def path(self, file_id: str) -> Path:
        """Say where the bytes of a file are."""
        return self._folder / file_id

    def begin(self) -> "Partial":
        """Begin a file that has no name yet."""
        return Partial(self._folder / f"{uuid.uuid4().hex}{_PARTIAL}")

    def remove(self, file_id: str) -> None:
        """Delete the bytes of a file, if they are there."""
        self.path(file_id).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[Path]:
        """Yield all that was last written so long ago; parts of files, too."""
        until = time() - seconds
        for entry in os.scandir(self._folder):
            if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < until:
                yield Path(entry.path)


class Partial:
    """A file while it is written. `keep` it or `discard` it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._file = os.fdopen(opened, "wb", buffering=0)
        self.bytes = 0
        self.lines = 0
        self._ends_a_line = True

    def write(self, data: bytes) -> None:
        """Append *data*, all of it."""
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.bytes += len(data)
        self.lines += data.count(b"\n")
        if data:
            self._ends_a_line = data.endswith(b"\n")

    def keep(self, path: Path) -> None:
        """Bring it to the disk, then give it its name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self.lines += not self._ends_a_line
        self._path.replace(path)

    def discard(self) -> None:
        """Leave nothing of it, unless it was kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)
