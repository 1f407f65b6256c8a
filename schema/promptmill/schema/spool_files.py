"""What lies in the spool folder of this machine: answers that SQL has not taken.

Workers write it (see their `spool`). A file belongs to the process that locks it; one that nobody
locks was left by a dead one, and waits for the next worker with this folder.
"""

import fcntl
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SPOOL, REFUSED, DAMAGED = ".spool", ".refused", ".damaged"


class SpoolKind(StrEnum):
    """What a file in the folder means."""

    HELD = "held"
    """its process lives, and stores it when SQL is back"""
    LEFT = "left"
    """its process is gone: the next worker stores it"""
    REFUSED = "refused"
    """SQL does not take it: for a person to look at"""
    DAMAGED = "damaged"
    """it cannot be read to its end"""


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """One file."""

    path: Path
    kind: SpoolKind
    bytes: int


def spool_files(folder: Path) -> list[SpoolFile]:
    """List the folder; a file that goes meanwhile is left out. Raises OSError."""
    found = []
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        kind = _kind(path)
        if kind is not None:
            found.append(SpoolFile(path, kind, path.stat().st_size if path.exists() else 0))
    return found


def _kind(path: Path) -> SpoolKind | None:
    if path.suffix in (REFUSED, DAMAGED):
        return SpoolKind(path.suffix.removeprefix("."))
    if path.suffix != SPOOL:
        return None
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Shared, and for a moment: who makes or looks for such a file waits, or looks again.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return SpoolKind.HELD
    else:
        return SpoolKind.LEFT
    finally:
        os.close(fd)
