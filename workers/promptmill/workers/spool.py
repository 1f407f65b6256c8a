"""Answers that SQL has not taken yet, in a file on this machine: they outlive the process.

One file a process start, which its owner locks for as long as it lives; so what is not locked was
left by a dead one, and whoever locks it may store what is in it. A record is its length, its CRC-32
(both four bytes, little-endian) and a JSON object. It counts as kept once the file is synced.
"""

import fcntl
import json
import logging
import os
import struct
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from promptmill.schema.moves.endings import Closing
from promptmill.schema.private import private_folder
from promptmill.schema.spool_files import DAMAGED, REFUSED, SPOOL

_HEAD = struct.Struct("<II")
_log = logging.getLogger(__name__)

Key = tuple[int, int]
"""job id and fence"""


@dataclass(frozen=True, slots=True)
class Record:
    """The end of an attempt, and the names under which its worker may have claimed the job."""

    closing: Closing
    worker_ids: tuple[str, ...]

    @property
    def key(self) -> Key:
        return self.closing.job_id, self.closing.fence


class Spool:
    """The file of this process: made when first needed, gone when SQL has all of it."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: set[Key] = set()
        self._file: tuple[Path, int] | None = None
        """its path and the descriptor that holds the lock"""
        self._size = 0

    def keep(self, records: Sequence[Record]) -> list[bool]:
        """Append *records* and sync. False for one that is not kept: no room, or an error."""
        with self._lock:
            try:
                return self._append(records)
            except OSError as error:
                _log.error(
                    "spool: %s: %s; answers stay in memory only until sql is back",
                    self.folder,
                    error.strerror,
                )
                self._remove_if_empty()
                return [False] * len(records)

    def keeps(self, key: Key) -> bool:
        """Tell whether the end of this attempt is safe here."""
        with self._lock:
            return key in self._kept

    def kept(self) -> frozenset[Key]:
        """List what is safe here and not yet in SQL."""
        with self._lock:
            return frozenset(self._kept)

    def forget(self, key: Key) -> None:
        """Count this one as stored in SQL. With the last one the file goes."""
        with self._lock:
            self._kept.discard(key)
            self._remove_if_empty()

    def close(self) -> None:
        """Give up the file; with what is still in it, it is now anybody's to store."""
        with self._lock:
            self._remove_if_empty()
            if self._file is not None:
                os.close(self._file[1])
                self._file = None

    def _append(self, records: Sequence[Record]) -> list[bool]:
        written, kept = b"", []
        for record in records:
            packed = _packed(record)
            kept.append(self._size + len(written) + len(packed) <= self._most_bytes)
            written += packed if kept[-1] else b""
        if not all(kept):
            _log.error("spool: full (worker.spool_bytes); answers stay in memory only")
        if written:
            # At the place where the last whole record ends: what a full disk took is written over.
            _write_all(self._open(), written, at=self._size)
            self._size += len(written)
        self._kept |= {record.key for record, good in zip(records, kept, strict=True) if good}
        return kept

    def _open(self) -> int:
        if self._file is None:
            self._file = _new_file(private_folder(self.folder))
            _log.warning("spool: sql is away, answers are kept in %s", self._file[0])
        return self._file[1]

    def _remove_if_empty(self) -> None:
        """Take the file away when nothing is safe in it: SQL has it, or the disk refused it."""
        if self._file is None or self._kept:
            return
        path, fd = self._file
        self._file, self._size = None, 0
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.error("spool: %s is not removed: %s", path, error.strerror)
        finally:
            os.close(fd)
        _log.info("spool: nothing is left in %s", path.name)


class Leftover:
    """A file that a dead process left, locked by us. Use it as a block: that gives the lock up."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd = path, fd
        self._is_damaged = False

    def records(self) -> Iterator[Record]:
        """Yield what was kept, in order, up to the first record that is not whole."""
        at, end = 0, os.fstat(self._fd).st_size
        while at < end:
            length, checksum = _head(os.pread(self._fd, _HEAD.size, at))
            at += _HEAD.size + length
            if length == 0 or at > end:
                self._tell_of_half_a_record()
                return
            packed = os.pread(self._fd, length, at - length)
            if zlib.crc32(packed) != checksum:
                self._is_damaged = at < end
                self._tell_of_half_a_record()
                return
            fields: dict[str, Any] = json.loads(packed)
            try:
                yield msgspec.convert(fields, Record)
            except msgspec.ValidationError as error:
                self._set_aside(fields, f"not what this release keeps: {error}")

    def _tell_of_half_a_record(self) -> None:
        # Its process was killed, or the power failed, while it wrote: it did not count as kept.
        if not self._is_damaged:
            _log.warning("spool: %s ends in half a record, which is left out", self.path.name)

    def refuse(self, record: Record, why: str) -> None:
        """Keep a record that SQL does not take for a person to look at."""
        self._set_aside(asdict(record), why)

    def _set_aside(self, fields: Mapping[str, Any], why: str) -> None:
        line = json.dumps({"why": why, **fields}) + "\n"
        path = self.path.with_suffix(REFUSED)
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            _write_all(fd, line.encode(), at=os.fstat(fd).st_size)
        finally:
            os.close(fd)
        _log.error("spool: a record is not stored, but kept in %s: %s", path, why)

    def remove(self) -> None:
        """Take the file away: all of it is stored or refused. A damaged one is set aside."""
        if self._is_damaged:
            aside = self.path.with_suffix(DAMAGED)
            _log.error("spool: the rest of %s cannot be read; it is kept as %s", self.path, aside)
            self.path.rename(aside)
        else:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def find_leftovers(folder: Path, *, but: set[Path]) -> Iterator[Leftover]:
    """Lock and yield, one after the other, the files whose process is gone.

    Leaves out those named in *but*, and puts there what it cannot open.
    """
    for path in sorted(folder.glob(f"*{SPOOL}")):
        if path in but:
            continue
        try:
            leftover = _lock_leftover(path)
        except OSError as error:
            _log.error("spool: %s is not stored: %s", path, error.strerror)
            but.add(path)
            continue
        if leftover is not None:
            with leftover:
                yield leftover


def _lock_leftover(path: Path) -> Leftover | None:
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    with suppress(BlockingIOError):
        # By flock, which belongs to this open file: a POSIX lock would end with any other
        # descriptor of the file that this process closes.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return Leftover(path, fd)
    os.close(fd)
    return None


def _new_file(folder: Path) -> tuple[Path, int]:
    """Make and lock a file. Who looks for leftovers may take it away before it is locked."""
    while True:
        path = folder / f"{uuid.uuid4()}{SPOOL}"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                _sync_folder(folder)
                return path, fd
        except OSError:
            path.unlink(missing_ok=True)
            os.close(fd)
            raise
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes, *, at: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, at)
        left, at = left[written:], at + written
    os.fsync(fd)


def _packed(record: Record) -> bytes:
    # Not by msgspec, which refuses what SQL may refuse too: lone surrogates, 2**80 tokens.
    data = json.dumps(asdict(record)).encode()
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def _head(data: bytes) -> tuple[int, int]:
    return _HEAD.unpack(data) if len(data) == _HEAD.size else (0, 0)
