"""The worker's only way to SQL: peeks read in groups, claims and ends written in groups.

One thread reads and one writes, each with its own connection. While SQL is away the writer holds
its group and tries again: an answer that was paid for is kept until it is stored.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from promptmill.schema.database import Connection, Database, DatabaseError, is_passing
from promptmill.schema.errors import ServiceError
from promptmill.schema.hint import Hint
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.closing import Closing, close
from promptmill.schema.moves.queueing import postpone, requeue, unqueue
from promptmill.schema.reading import DueJob, due_jobs
from promptmill.workers.grouping import Grouping

REFUSED_BY_SQL = (DatabaseError, ValueError, ArithmeticError)
"""What a row that cannot be stored raises; the drivers find some of them before SQL does."""

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Claim:
    """Take the job of this hint, to be called with the key of this fingerprint."""

    hint: Hint
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Unqueue:
    """Put the job of this hint back to pending."""

    hint: Hint


@dataclass(frozen=True, slots=True)
class Postpone:
    """Snooze the job of this hint."""

    hint: Hint
    delay_s: float


@dataclass(frozen=True, slots=True)
class Requeue:
    """Queue the job of this hint, whose wait is over."""

    hint: Hint


Write = Claim | Closing | Unqueue | Postpone | Requeue
Written = int | bool | None
"""A claim's fence or None; for the others, whether the job moved."""


class Recorder:
    """Reads and writes jobs for one worker process."""

    def __init__(
        self, database: Database, *, worker_id: str, group_rows: int, group_s: float
    ) -> None:
        self.worker_id = worker_id
        self._database = database
        self._stopping = threading.Event()
        self._peeks = Grouping[Hint, DueJob | None](
            self._read_group, name="sql-reader", most=group_rows, wait_s=group_s / 2
        )
        self._writes = Grouping[Write, Written](
            self._write_group, name="sql-writer", most=group_rows, wait_s=group_s
        )

    async def peek(self, hint: Hint) -> DueJob | None:
        """Read the job of *hint*, or None if the hint is no longer good."""
        return await self._peeks.ask(hint)

    async def claim(self, hint: Hint, fingerprint: str) -> int | None:
        """Claim the job and commit the intent; returns the fence, or None if it is not ours."""
        return await self._writes.ask(Claim(hint, fingerprint))

    async def close(self, closing: Closing) -> bool:
        """End an attempt. True if its job moved, False if it had been taken from us.

        Raises one of REFUSED_BY_SQL where the row cannot be stored, or SQL is away at the very end.
        """
        return bool(await self._writes.ask(closing))

    async def unqueue(self, hint: Hint) -> None:
        """Put a job back that was hinted and not claimed."""
        await self._writes.ask(Unqueue(hint))

    async def postpone(self, hint: Hint, delay_s: float) -> None:
        """Snooze a job that was hinted and not claimed."""
        await self._writes.ask(Postpone(hint, delay_s))

    async def requeue(self, hint: Hint) -> bool:
        """Queue a waiting job that is due. False: dispatch was first, its hint is the good one."""
        return bool(await self._writes.ask(Requeue(hint)))

    def stop(self, timeout_s: float) -> bool:
        """Write what is still to be written. False if SQL stayed away for that long."""
        stopped = self._writes.stop(timeout_s)
        self._stopping.set()
        return self._peeks.stop(1.0) and stopped

    def _read_group(self, hints: Sequence[Hint]) -> list[DueJob | Exception | None]:
        def read() -> list[DueJob | Exception | None]:
            with self._database.read() as connection:
                found = {job.job_id: job for job in due_jobs(connection, hints)}
            return [found.get(hint.job_id) for hint in hints]

        return self._until_sql_is_there(read)

    def _write_group(self, writes: Sequence[Write]) -> list[Written | Exception]:
        """Write a group: at once on SQLite, on PostgreSQL each kind of move in its own transaction.

        One statement locks the counters in their order, two in one transaction do not: workers
        whose groups close and claim would wait for each other until PostgreSQL ends one of them.
        """
        if self._database.dialect == "sqlite":
            return self._write_part(writes)
        answers: list[Written | Exception] = [None] * len(writes)
        for kind in (Claim, Closing, Unqueue, Postpone, Requeue):
            places = [place for place, write in enumerate(writes) if isinstance(write, kind)]
            if places:
                part = self._write_part([writes[place] for place in places])
                for place, answer in zip(places, part, strict=True):
                    answers[place] = answer
        return answers

    def _write_part(self, writes: Sequence[Write]) -> list[Written | Exception]:
        try:
            return self._until_sql_is_there(lambda: self._commit(writes))
        except REFUSED_BY_SQL as error:
            if len(writes) == 1:
                return [error]
            # One row that SQL refuses must not take the others with it: halve until it is alone.
            half = len(writes) // 2
            return [*self._write_part(writes[:half]), *self._write_part(writes[half:])]

    def _commit(self, writes: Sequence[Write]) -> list[Written | Exception]:
        with self._database.write() as connection:
            return self._apply(connection, writes)

    def _apply(self, connection: Connection, writes: Sequence[Write]) -> list[Written | Exception]:
        closings = [write for write in writes if isinstance(write, Closing)]
        claims = [(write.hint, write.fingerprint) for write in writes if isinstance(write, Claim)]
        returned = [write.hint for write in writes if isinstance(write, Unqueue)]
        snoozed = [(write.hint, write.delay_s) for write in writes if isinstance(write, Postpone)]
        again = [write.hint for write in writes if isinstance(write, Requeue)]
        moved = close(connection, closings, worker_id=self.worker_id) if closings else set()
        fences = claim(connection, claims, worker_id=self.worker_id) if claims else {}
        moved |= unqueue(connection, returned) if returned else set()
        moved |= postpone(connection, snoozed) if snoozed else set()
        moved |= requeue(connection, again) if again else set()
        return [_answer(write, moved, fences) for write in writes]

    def _until_sql_is_there(self, step: Callable[[], Result]) -> Result:
        delay_s = 0.05
        while True:
            try:
                return step()
            except (DatabaseError, ServiceError) as error:
                if not is_passing(error) or self._stopping.is_set():
                    raise
                _log.warning("sql away, trying again in %.1f s: %s", delay_s, type(error).__name__)
            self._stopping.wait(delay_s * random.uniform(0.5, 1))
            delay_s = min(5.0, delay_s * 2)


def _answer(write: Write, moved: set[int], fences: dict[int, int]) -> Written:
    match write:
        case Claim(hint=hint):
            return fences.pop(hint.job_id, None)  # of two like hints, one wins
        case Closing(job_id=job_id):
            return job_id in moved
        case Unqueue(hint=hint) | Postpone(hint=hint) | Requeue(hint=hint):
            return hint.job_id in moved
