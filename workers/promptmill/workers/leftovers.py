"""Store what dead processes left in the spool folder. Repeating it is harmless, by the fence."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from promptmill.schema.database import Database, is_passing
from promptmill.schema.moves.closing import intended
from promptmill.schema.moves.endings import Closing
from promptmill.workers.spool import Leftover, Record, find_leftovers

_GROUP = 50
_log = logging.getLogger(__name__)

Write = Callable[[Sequence[Closing]], Sequence[object]]
"""Write a group of ends; an answer that is an exception says why that one cannot be written."""


class Leftovers:
    """Looks for files of dead processes. Cheap where there are none: one look at the folder."""

    def __init__(self, folder: Path, database: Database, write: Write) -> None:
        self._folder, self._database, self._write = folder, database, write
        self._unreadable: set[Path] = set()

    def store(self) -> None:
        """Write all of them, each in its order, and remove them.

        Raises DatabaseError or ServiceError where SQL goes away: the file stays as it is.
        """
        for leftover in find_leftovers(self._folder, but=self._unreadable):
            try:
                self._store(leftover)
            except OSError as error:
                _log.error("spool: %s is not stored: %s", leftover.path, error.strerror)
                self._unreadable.add(leftover.path)

    def _store(self, leftover: Leftover) -> None:
        count = 0
        for group in _groups(leftover.records()):
            self._store_group(leftover, group)
            count += len(group)
        leftover.remove()
        _log.warning("spool: %d answers of a process that is gone: stored", count)

    def _store_group(self, leftover: Leftover, group: Sequence[Record]) -> None:
        names = [(*record.key, name) for record in group for name in record.worker_ids]
        with self._database.read() as connection:
            ours = intended(connection, names)
        for record in group:
            if record.key not in ours:
                leftover.refuse(record, "this database has no such attempt")
        known = [record for record in group if record.key in ours]
        answers = self._write([record.closing for record in known])
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        for error in filter(is_passing, errors):
            raise error
        for record, answer in zip(known, answers, strict=True):
            if isinstance(answer, Exception):
                leftover.refuse(record, f"refused by sql: {type(answer).__name__}")


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    source = iter(records)
    while group := list(islice(source, _GROUP)):
        yield group
