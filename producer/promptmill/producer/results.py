"""Read results back: in the order of the input, or as they come.

Each page is a transaction of its own, so a reader that takes its time holds up nobody.
"""

from collections.abc import Callable, Collection, Iterator

from promptmill.producer.progress import read_progress
from promptmill.schema.answers import Result, ended_jobs, job_span, job_states, results_of
from promptmill.schema.database import Database
from promptmill.schema.reading import batch_counts
from promptmill.schema.states import FINAL_STATES, JobState

_PAGE = 500
_SCAN = 10_000


def results_in_order(
    database: Database, batch_id: int, *, states: Collection[JobState] = FINAL_STATES
) -> Iterator[Result]:
    """Yield what ended in *states* until now, in the order of the input."""
    span = _span(database, batch_id)
    while span is not None:
        with database.read() as connection:
            page = ended_jobs(connection, batch_id, span=span, states=states, most=_PAGE)
            found = results_of(connection, page)
        yield from found
        span = (page[-1] + 1, span[1]) if len(page) == _PAGE else None


def results_as_they_come(
    database: Database, batch_id: int, *, wait: Callable[[], object]
) -> Iterator[Result]:
    """Yield each job once, soon after it ended, until all have; *wait* is called between looks.

    Judged by state, not by time: transactions become visible in another order than that of the
    instants in them. A job that is retried after it was yielded is not yielded again.
    """
    fresh: _Fresh | None = None
    while True:
        over = read_progress(database, batch_id).finished  # before the look, which then sees all
        if fresh is None:
            span = _span(database, batch_id)
            fresh = _Fresh(database, batch_id, span) if span is not None else None
        if fresh is not None:
            yield from fresh.take(whatever=over)
        if over:
            return
        wait()


class _Fresh:
    """Finds the jobs that ended since the last look. One byte a job, and a mark below which all
    are known to have ended; jobs are answered roughly in the order of their ids.
    """

    def __init__(self, database: Database, batch_id: int, span: tuple[int, int]) -> None:
        self._database, self._batch_id = database, batch_id
        self._first, self._last = span
        self._low = self._first
        self._given = bytearray(self._last - self._first + 1)
        self._ended = -1

    def take(self, *, whatever: bool) -> Iterator[Result]:
        """Yield what ended since; look only where the counts moved, or *whatever* they say."""
        with self._database.read() as connection:
            counts = batch_counts(connection, self._batch_id)
        ended = sum(count.jobs for count in counts if count.state in FINAL_STATES)
        if ended == self._ended and not whatever:
            return
        self._ended = ended
        for page in self._pages():
            for start in range(0, len(page), _PAGE):
                with self._database.read() as connection:
                    found = results_of(connection, page[start : start + _PAGE])
                for result in found:
                    self._given[result.job_id - self._first] = 1
                    yield result

    def _pages(self) -> Iterator[list[int]]:
        """Yield ids that have ended and were not given, from the mark on, and move the mark."""
        at, all_ended_to = self._low, True
        while at <= self._last:
            with self._database.read() as connection:
                jobs = job_states(connection, self._batch_id, span=(at, self._last), most=_SCAN)
            if not jobs:
                return
            yield [job for job, ended in jobs if ended and not self._given[job - self._first]]
            still_open = next((job for job, ended in jobs if not ended), None)
            at = jobs[-1][0] + 1
            if all_ended_to:
                self._low = at if still_open is None else still_open
                all_ended_to = still_open is None


def _span(database: Database, batch_id: int) -> tuple[int, int] | None:
    with database.read() as connection:
        return job_span(connection, batch_id)
