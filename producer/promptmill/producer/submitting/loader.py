"""Store chunks of jobs, each in a transaction, and open the batch after the last.

Several may load the same batch at once. A chunk begins where its loader believes the stored ones
to end; one that comes second clashes on the custom_ids, looks again and goes on behind the other.
"""

from collections.abc import Callable, Sequence

from promptmill.producer.submitting.chunks import CHUNK_ROWS, Chunk
from promptmill.schema.database import Connection, Database, DatabaseError
from promptmill.schema.errors import ServiceError
from promptmill.schema.moves.loading import (
    NewBatch,
    analyze,
    complete_batch,
    discard_loading,
    hold_loading,
    insert_jobs,
    look_at_batch,
    open_batch,
    position_of,
)
from promptmill.schema.moves.twins import mark_twins
from promptmill.schema.new_job import NewJob
from promptmill.schema.states import BatchState

_ANALYZE_FROM = 1000
"""jobs; fewer change no plan, and statistics are read from the whole tables"""


Opened = Callable[[Connection, int], object]
"""what hears of a batch, by its id, in the transaction that opens it"""


class TwiceError(Exception):
    """A custom_id is in the batch already, or twice in the chunk."""

    def __init__(self, custom_id: str) -> None:
        super().__init__(custom_id)
        self.custom_id = custom_id


class Loader:
    """Loads one batch that is in state loading, from where its last loader got to."""

    def __init__(self, database: Database, batch_id: int) -> None:
        self._database, self._batch_id = database, batch_id
        self._loaded = 0
        self.passed = 0
        """jobs that are stored, by whomever"""
        self._look_again()

    def store(self, chunk: Chunk) -> None:
        """Store what is missing of *chunk*. Raises TwiceError."""
        jobs: Sequence[NewJob] = chunk.jobs
        while jobs := self._missing(jobs):
            try:
                with self._database.write() as connection:
                    held = hold_loading(connection, self._batch_id)
                    if held:
                        insert_jobs(connection, self._batch_id, jobs)
            except DatabaseError:
                if not self._look_again():
                    twice = self._custom_id_twice(jobs)
                    if twice is None:
                        raise
                    raise TwiceError(twice) from None
            else:
                if held:
                    self._loaded = chunk.last
                else:
                    self._look_again()
        self.passed += len(chunk.jobs)

    def open(
        self, batch: NewBatch, *, identity_no: int, dedupe: bool, opened: Opened | None = None
    ) -> int:
        """Open it as what it is now known to be; return how many jobs are twins.

        *dedupe*: whether to look for any. *opened*: what else is to be done in the same commit.
        """
        if self.passed >= _ANALYZE_FROM:  # before the jobs are counted, and looked for
            with self._database.write() as connection:
                analyze(connection)
        with self._database.write() as connection:
            twins = 0
            if hold_loading(connection, self._batch_id):
                complete_batch(connection, self._batch_id, batch, identity_no=identity_no)
                if dedupe:
                    twins = mark_twins(connection, self._batch_id)
                open_batch(connection, self._batch_id)
                if opened is not None:
                    opened(connection, self._batch_id)
        return twins

    def discard(self) -> None:
        """Delete all of it, unless somebody else opened it."""
        done = False
        while not done:
            with self._database.write() as connection:
                done = discard_loading(connection, self._batch_id, most=CHUNK_ROWS)

    def _missing(self, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        if jobs and jobs[0].position > self._loaded:
            return jobs
        return [job for job in jobs if job.position > self._loaded]

    def _look_again(self) -> bool:
        """See how far another loader of this batch came; say whether it stored anything."""
        with self._database.read() as connection:
            found = look_at_batch(connection, self._batch_id)
        if found is None:
            msg = f"batch {self._batch_id} was discarded by another submit of the same input"
            raise ServiceError(msg)
        moved = found.last > self._loaded or found.state != BatchState.LOADING
        self._loaded = found.last
        return moved

    def _custom_id_twice(self, jobs: Sequence[NewJob]) -> str | None:
        seen: set[tuple[str, int]] = set()
        with self._database.read() as connection:
            for job in jobs:
                custom_id = job.custom_id
                key = (custom_id, job.model_no)
                if key in seen or position_of(connection, self._batch_id, custom_id):
                    return custom_id
                seen.add(key)
        return None
