"""Log files of started processes: kept small, and quoted when something dies."""

import os
from pathlib import Path

MAX_BYTES = 10_000_000
"""A log grows to this size, then its last part goes to `NAME.1`: two such files at most."""


def append_to(path: Path) -> int:
    """Open *path* for a child's output, owner only; every write goes to the end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def trim(path: Path) -> None:
    """Move a log that grew too big to `NAME.1`, also while a process writes to it.

    The file is emptied, not replaced: the writer keeps its descriptor and appends at the new end.
    """
    if not path.exists() or path.stat().st_size <= MAX_BYTES:
        return
    old = path.with_name(path.name + ".1")
    with path.open("rb") as log:
        log.seek(-MAX_BYTES, os.SEEK_END)
        old.touch(mode=0o600)
        old.write_bytes(log.read())
    os.truncate(path, 0)


def tail(path: Path, lines: int = 15) -> str:
    """Return the last *lines* of a log, or an empty text where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 32_768))
        text = log.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
