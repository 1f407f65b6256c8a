"""The worker's only way to SQL: peeks read in groups, claims and ends written in groups.

One thread reads and one writes, each with its own connection. While SQL is away the writer holds
its group and tries again, and a third thread puts what was paid for into the spool: an answer is in
SQL or on disk, or on the way there.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from promptmill.schema.answer_forms import invalid_answer_of
from promptmill.schema.database import Database, DatabaseError, is_passing
from promptmill.schema.errors import ServiceError
from promptmill.schema.hint import Hint
from promptmill.schema.moves import backgrounds
from promptmill.schema.moves.caching import Followed, Wish
from promptmill.schema.moves.endings import Closing
from promptmill.schema.moves.similar import NewEntry
from promptmill.schema.moves.spending import Reservation
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.reading import DueJob, due_jobs
from promptmill.schema.truncation import Cut, refused_cut_of
from promptmill.workers import unstorable
from promptmill.workers.grouping import Grouping
from promptmill.workers.leftovers import Leftovers
from promptmill.workers.patience import Patience
from promptmill.workers.spool import Key, Record, Spool
from promptmill.workers.within import ended_within
from promptmill.workers.writes import (
    CLOSED_FIRST,
    Claim,
    Postpone,
    Requeue,
    Stored,
    Unqueue,
    Write,
    Written,
    apply,
)

SOON_S = 1.0
"""How long an answer waits for its commit before it goes to the spool too."""
_LOOK_S = 0.5
_log = logging.getLogger(__name__)
Found = TypeVar("Found")


class Recorder:
    """Reads and writes jobs for one worker process."""

    def __init__(
        self, database: Database, *, worker_id: str, group_rows: int, group_s: float, spool: Spool
    ) -> None:
        self._names = [worker_id]
        self._database = database
        self._spool = spool
        self._reading, self._writing, self._looking = Patience(), Patience(), Patience()
        self._claimed: set[Key] = set()
        """what this process has claimed and not closed"""
        self._leftovers = Leftovers(
            spool.folder, database, lambda ends: self._write_part(ends, safe=True)
        )
        self._peeks = Grouping[Hint, DueJob | None](
            self._read_group, name="sql-reader", most=group_rows, wait_s=group_s / 2
        )
        self._writes = Grouping[Write, Written](
            self._write_group, name="sql-writer", most=group_rows, wait_s=group_s
        )
        self._keeps = Grouping[Record, bool](
            spool.keep, name="spool", most=group_rows, wait_s=group_s
        )

    @property
    def worker_id(self) -> str:
        return self._names[-1]

    def take_name(self, worker_id: str) -> None:
        """Go on under another name: the sweeper has declared the last one dead. Any thread."""
        self._names.append(worker_id)

    def spooled(self) -> frozenset[Key]:
        """List what this process has ended and SQL does not know of yet."""
        return self._spool.kept()

    def store_leftovers(self) -> None:
        """Store what dead processes left in the spool folder. Blocks; for before the first claim.

        Raises DatabaseError or ServiceError where SQL is away.
        """
        self._leftovers.store()

    async def peek(self, hint: Hint) -> DueJob | None:
        """Read the job of *hint*, or None if the hint is no longer good."""
        try:
            return await self._peeks.put(hint)
        except (DatabaseError, ServiceError) as error:
            _ignore_if_away(error)
            return None

    async def invalid_answer(self, job_id: int) -> bytes | None:
        """Read the answer of this job that did not follow its schema, if there is one.

        Waits while SQL is away: nothing is asked for without knowing what was asked before.
        """
        return await self._look(lambda connection: invalid_answer_of(connection, job_id))

    async def refused_cut(self, job_id: int) -> Cut | None:
        """Read what was sent of this job when its provider found it too long; waits as above."""
        return await self._look(lambda connection: refused_cut_of(connection, job_id))

    async def known_response(self, job_id: int) -> str | None:
        """Read which response is made for this job in the background; waits as above."""
        return await self._look(lambda connection: backgrounds.known_response(connection, job_id))

    async def keep_response(self, job_id: int, fence: int, response_id: str) -> None:
        """Commit which response is made for this job. Waits while SQL is away."""
        await self._of_background(backgrounds.keep_response, job_id, fence, response_id)

    async def forget_response(self, job_id: int, fence: int, response_id: str) -> None:
        """Commit that nothing comes of it."""
        await self._of_background(backgrounds.forget_response, job_id, fence, response_id)

    async def claim(
        self, hint: Hint, fingerprint: str, reservation: Reservation | None = None
    ) -> int | None:
        """Claim the job and commit the intent; returns the fence, or None if it is not ours.

        None too where the budget of its batch has no room for *reservation*.
        """
        fence = await self._write(Claim(hint, fingerprint, reservation))
        return fence if isinstance(fence, int) else None

    async def close(self, closing: Closing) -> Stored:
        """End an attempt. What was sent is in SQL when this returns, or in the spool.

        Raises what SQL refuses even as a row to be held; and DatabaseError or ServiceError where
        SQL is away at the very end, and the spool has no room either.
        """
        writing = self._writes.put(closing)
        if closing.attempted.outcome is AttemptOutcome.NOT_SENT:
            return _stored(await writing)
        if not self._writing.is_away:
            await ended_within(writing, SOON_S)
        if writing.done() and not writing.exception():
            return _stored(writing.result())
        record = Record(closing, tuple(self._names))
        if not await self._keeps.put(record):
            return _stored(await writing)
        return await self._wait_beside_the_spool(record, writing)

    async def unqueue(self, hint: Hint) -> None:
        """Put a job back that was hinted and not claimed."""
        await self._write(Unqueue(hint))

    async def postpone(self, hint: Hint, delay_s: float) -> None:
        """Snooze a job that was hinted and not claimed."""
        await self._write(Postpone(hint, delay_s))

    async def follow(self, wish: Wish) -> Followed | None:
        """Let a job that was hinted and not claimed take the answer of another, or wait for it.

        None: SQL is away, and this worker leaves.
        """
        followed = await self._write(wish)
        return followed if isinstance(followed, Followed) else None

    async def remember(self, entry: NewEntry) -> None:
        """Let others find what is about to be asked, who ask something similar."""
        await self._write(entry)

    async def requeue(self, hint: Hint) -> bool:
        """Queue a waiting job that is due. False: dispatch was first, its hint is the good one."""
        return bool(await self._write(Requeue(hint)))

    def leave(self) -> None:
        """Wait from now on, while SQL is away, only for what is not in the spool."""
        self._reading.hurry()
        self._looking.hurry()
        self._writing.hurry()

    def stop(self, timeout_s: float) -> bool:
        """Write what is still to be written. False if SQL stayed away for that long.

        What is in the spool then is tried once more: SQL may have come back since.
        """
        stopped = self._writes.stop(timeout_s)
        self._reading.stop()
        self._looking.stop()
        self._writing.stop()
        ended = [group.stop(1.0) for group in (self._writes, self._peeks, self._keeps)]
        self._spool.close()
        try:
            self._leftovers.store()
        except (DatabaseError, ServiceError) as error:
            _log.warning("answers stay in %s: %s", self._spool.folder, type(error).__name__)
        return stopped and all(ended)

    async def _look(self, look: Callable[[Any], Found]) -> Found:
        def read(_again: bool) -> Found:
            with self._database.read() as connection:
                return look(connection)

        return await asyncio.to_thread(self._looking.keep_trying, read, may_give_up=lambda: True)

    async def _of_background(
        self, step: Callable[..., None], job_id: int, fence: int, response_id: str
    ) -> None:
        def write(_again: bool) -> None:
            with self._database.write() as connection:
                step(connection, job_id, fence, response_id)

        await asyncio.to_thread(self._looking.keep_trying, write, may_give_up=lambda: False)

    async def _write(
        self, write: Claim | NewEntry | Wish | Unqueue | Postpone | Requeue
    ) -> Written:
        try:
            return await self._writes.put(write)
        except (DatabaseError, ServiceError) as error:
            _ignore_if_away(error)
            return None

    async def _wait_beside_the_spool(
        self, record: Record, writing: asyncio.Future[Written]
    ) -> Stored:
        """Wait for the commit of what is in the spool; one who leaves does not wait for it."""
        while not writing.done():
            await asyncio.wait([writing], timeout=_LOOK_S)
            if self._writing.hurries and self._writing.is_away:
                writing.cancel()
                return Stored.SPOOLED
        try:
            stored = _stored(writing.result())
        except (DatabaseError, ServiceError) as error:
            if is_passing(error):
                return Stored.SPOOLED
            raise
        await asyncio.to_thread(self._spool.forget, record.key)
        return stored

    def _read_group(self, hints: Sequence[Hint]) -> list[DueJob | Exception | None]:
        def read(_again: bool) -> list[DueJob | Exception | None]:
            with self._database.read() as connection:
                found = {job.job_id: job for job in due_jobs(connection, hints)}
            return [found.get(hint.job_id) for hint in hints]

        return self._reading.keep_trying(read, may_give_up=lambda: True)

    def _write_group(self, writes: Sequence[Write]) -> list[Written | Exception]:
        """Write a group: at once on SQLite, on PostgreSQL each kind of move in its own transaction.

        One statement locks the counters in their order, two in one transaction do not: workers
        whose groups close and claim would wait for each other until PostgreSQL ends one of them.
        """
        if any(isinstance(write, Claim) for write in writes):
            # Or a job would be bought again whose answer lies there.
            self._writing.keep_trying(
                lambda _again: self._leftovers.store(), may_give_up=lambda: True
            )
        if self._database.dialect == "sqlite":
            return self._write_part(writes)
        answers: list[Written | Exception] = [None] * len(writes)
        for kind in CLOSED_FIRST:
            places = [place for place, write in enumerate(writes) if isinstance(write, kind)]
            if places:
                part = self._write_part([writes[place] for place in places])
                for place, answer in zip(places, part, strict=True):
                    answers[place] = answer
        return answers

    def _write_part(
        self, writes: Sequence[Write], *, safe: bool = False
    ) -> list[Written | Exception]:
        """Commit *writes*, but those that SQL refuses. *safe*: none is lost if SQL stays away."""
        try:
            return self._writing.keep_trying(
                lambda again: self._commit(writes, again=again),
                may_give_up=lambda: safe or all(map(self._is_safe, writes)),
            )
        except Exception as error:  # noqa: BLE001  a row that cannot be stored raises anything
            if is_passing(error):
                return [error] * len(writes)
            if len(writes) == 1:
                return [self._hold(writes[0], error, safe=safe)]
            # One row that SQL refuses must not take the others with it: halve until it is alone.
            half = len(writes) // 2
            parts = (writes[:half], writes[half:])
            return [answer for part in parts for answer in self._write_part(part, safe=safe)]

    def _hold(self, write: Write, error: Exception, *, safe: bool) -> Written | Exception:
        """Keep for a person what may have been paid for, and would be refused again."""
        if not isinstance(write, Closing) or unstorable.is_held(write):
            return error
        _log.error("job %d held, sql refuses its row: %s", write.job_id, type(error).__name__)
        (answer,) = self._write_part([unstorable.hold(write, error)], safe=safe)
        return Stored.HELD if answer is Stored.MOVED else answer

    def _is_safe(self, write: Write) -> bool:
        if not isinstance(write, Closing) or write.attempted.outcome is AttemptOutcome.NOT_SENT:
            return True
        return self._spool.keeps((write.job_id, write.fence))

    def _commit(self, writes: Sequence[Write], *, again: bool) -> list[Written | Exception]:
        with self._database.write() as connection:
            answers = apply(
                connection,
                writes,
                worker_id=self.worker_id,
                again=self._claimed if again else None,
            )
        for write, answer in zip(writes, answers, strict=True):
            if isinstance(write, Claim) and isinstance(answer, int):
                self._claimed.add((write.hint.job_id, answer))
            elif isinstance(write, Closing):
                self._claimed.discard((write.job_id, write.fence))
        return answers


def _stored(written: Written) -> Stored:
    if not isinstance(written, Stored):
        msg = f"the end of an attempt was answered by {written!r}"
        raise TypeError(msg)
    return written


def _ignore_if_away(error: Exception) -> None:
    """Go on without SQL: this worker leaves, and what it does not give back the sweep finds."""
    if not is_passing(error):
        raise error
