"""Follow a batch: each job once, soon after it ended, the first to end first.

No clock and no sequence says what is new: transactions become visible in another order than that of
the instants and numbers in them. So jobs are walked once in the order of their ids, those that had
not ended are kept and looked at again, and the counters of the same snapshot say how many are
new, and so when to stop. A look costs what is open and what began since, not the whole batch. When
the batch has ended all is walked: counters can make a row late (after a retry), and never lose one.
"""

from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import NamedTuple

from promptmill.producer.watching.progress import read_progress
from promptmill.schema.answers import JobSeen, Result, job_span, job_states, results_of, states_of
from promptmill.schema.database import Connection, Database
from promptmill.schema.exporting import one_moment
from promptmill.schema.reading import batch_counts
from promptmill.schema.states import FINAL_STATES, JobState

_PAGE = 500
_SCAN = 5000
_MOST = 20_000
"""jobs that one look brings at most; there is no pause before the next"""
_REST = 4.0
"""times the length of a look that is waited before the next, so that it takes a fifth of a core"""


def pages_as_they_come(database: Database, batch_id: int) -> Iterator[list[Result]]:
    """Yield results until all jobs have ended; an empty page: nothing more for a moment.

    A job that is retried after it was given is not given again. Raises UsageError for a batch that
    is not there.
    """
    unseen = _Unseen(database, batch_id)
    while True:
        over = read_progress(database, batch_id).finished  # before the look, which then sees all
        new = unseen.look(to_the_end=over)
        for start in range(0, len(new), _PAGE):
            if page := unseen.read(new[start : start + _PAGE]):
                yield page
        if over and unseen.complete:
            return
        if not new:
            yield []


class _Ended(NamedTuple):
    """How many jobs ended: only what did not succeed can be retried."""

    succeeded: int
    other: int

    @classmethod
    def among(cls, seen: Iterable[JobSeen]) -> "_Ended":
        succeeded = [one.state == JobState.SUCCEEDED for one in seen]
        return cls(sum(succeeded), len(succeeded) - sum(succeeded))

    def plus(self, more: "_Ended") -> "_Ended":
        return _Ended(self.succeeded + more.succeeded, self.other + more.other)

    def without(self, less: "_Ended") -> "_Ended":
        return _Ended(self.succeeded - less.succeeded, self.other - less.other)

    def covers(self, wanted: "_Ended") -> bool:
        return self.succeeded >= wanted.succeeded and self.other >= wanted.other


class _Unseen:
    """The jobs that were not given yet: the open ones up to a mark, and all above it."""

    def __init__(self, database: Database, batch_id: int) -> None:
        self._database, self._batch_id = database, batch_id
        self._mark = 0
        self._open: list[int] = []
        self._given = _Ended(0, 0)
        self._rest_until = 0.0
        self.complete = False
        """whether the last look saw every job, and all of them that ended were given"""

    def look(self, *, to_the_end: bool) -> list[int]:
        """Find jobs that ended and were not given, the first to end first."""
        began = monotonic()
        if began < self._rest_until and not to_the_end:
            return []
        with one_moment(self._database) as connection:
            ended = _count_ended(connection, self._batch_id)
            wanted = None if to_the_end else ended.without(self._given)
            new = self._find(connection, wanted)
        self._rest_until = monotonic() + _REST * (monotonic() - began)
        # Once all was seen it is exact again, whatever was retried meanwhile.
        self._given = ended if self.complete else self._given.plus(_Ended.among(new))
        new.sort(key=lambda seen: (seen.finished_at, seen.job_id))
        return [seen.job_id for seen in new]

    def read(self, job_ids: Sequence[int]) -> list[Result]:
        """Read what these came to. One that was retried since the look is looked at again."""
        with self._database.read() as connection:
            found = {result.job_id: result for result in results_of(connection, job_ids)}
        retried = [job_id for job_id in job_ids if job_id not in found]
        if retried:
            self._open += retried
            self._given = self._given.without(_Ended(0, len(retried)))
            self.complete = False
        return [found[job_id] for job_id in job_ids if job_id in found]

    def _find(self, connection: Connection, wanted: _Ended | None) -> list[JobSeen]:
        """Walk until as many are found as are *wanted*, or 20,000; None: all."""
        new: list[JobSeen] = []
        self.complete = False
        span = job_span(connection, self._batch_id)
        if span is None:
            self.complete = True
            return new
        known, self._open = self._open, []
        at = 0
        while len(new) < _MOST and (wanted is None or not _Ended.among(new).covers(wanted)):
            if at < len(known):
                seen = states_of(connection, known[at : at + _SCAN])
                at += _SCAN
            else:
                above = (max(self._mark + 1, span[0]), span[1])
                seen = job_states(connection, self._batch_id, span=above, most=_SCAN)
                self.complete = not seen
                if self.complete:
                    break
                self._mark = seen[-1].job_id
            new += (one for one in seen if one.state in FINAL_STATES)
            self._open += (one.job_id for one in seen if one.state not in FINAL_STATES)
        self._open += known[at:]
        return new


def _count_ended(connection: Connection, batch_id: int) -> _Ended:
    ended = [each for each in batch_counts(connection, batch_id) if each.state in FINAL_STATES]
    succeeded = sum(each.jobs for each in ended if each.state == JobState.SUCCEEDED)
    return _Ended(succeeded, sum(each.jobs for each in ended) - succeeded)
