"""Who uses a server: a lock shared by its users, which the kernel gives back even on kill -9."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file *path* alone: nobody else starts or stops the server meanwhile."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


class UserShare:
    """One user's share in the lock file *path*. Take and leave it only while `alone`.

    A flock belongs to the open file, so a child process that inherits `fd` holds the share too: a
    worker that outlives its killed parent by its grace time keeps its server.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = _open(path)
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Give the share back; say whether nobody else holds one."""
        os.close(self.fd)
        # Asked anew: through the old descriptor a child's inherited share would count as ours.
        return not is_held(self._path)


def is_held(path: Path) -> bool:
    """Say whether any process holds the lock file *path*, alone or as one of its users."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
