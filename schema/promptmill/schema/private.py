"""Folders and files that only their owner may read: prompts and answers are in them."""

import os
from contextlib import suppress
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Make *folder*, and what is missing above it, for the owner only; return it.

    `Path.mkdir(mode, parents=True)` would make the folders above by the umask.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    return folder


def private_file(path: Path) -> None:
    """Make an empty file for the owner only, where there is none.

    One that is there is not opened: to close a descriptor of an SQLite file gives back all locks
    that this process holds on it, and the next process that leaves removes its log.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
