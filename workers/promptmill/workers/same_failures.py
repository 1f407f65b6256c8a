"""Notice that all prompts of a batch fail in the same way, before all of them were paid for.

A refusal comes sooner than an answer: of twenty calls of which every other is good, ten refusals
come before the first answer, and ten more while it is written. So it counts how many calls of the
batch are still open that are older than the first refusal, and may be those that are answered.
"""

from collections import defaultdict
from dataclasses import dataclass

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.workers.providers.base import Answer, Refusal

_Error = tuple[str, int | None, str | None]
"""model, HTTP status, the provider's code"""


@dataclass(slots=True)
class _Row:
    error: _Error
    begun: int
    """how many calls this process had made when it began"""
    count: int = 0


class SameFailures:
    """Counts equal `request` errors in a row by batch, as this process sees them. For one thread.

    *most* of them are enough, and as many more for each older call that is open; with 0 they are
    not counted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[int, _Row] = {}
        self._made = 0
        self._open: defaultdict[int, set[int]] = defaultdict(set)

    def began(self, job: DueJob) -> int:
        """Know of the call of *job* from now until it has `ended`; returns its number."""
        self._made += 1
        self._open[job.batch_id].add(self._made)
        return self._made

    def ended(self, job: DueJob, number: int) -> None:
        """Know that the call *number* of *job* is open no more."""
        open_ = self._open[job.batch_id]
        open_.discard(number)
        if not open_:
            del self._open[job.batch_id]

    def observe(self, job: DueJob, reply: Answer | Refusal) -> str | None:
        """Take in what *job* came to. Returns why its batch should stop, and counts anew then."""
        if isinstance(reply, Answer):
            self.answered(job.batch_id)
            return None
        if reply.kind is not ErrorKind.REQUEST or not self._most:
            return None
        error = (job.model, reply.http_status, reply.code)
        row = self._rows.get(job.batch_id)
        if row is None or row.error != error:
            row = self._rows[job.batch_id] = _Row(error, self._made)
        row.count += 1
        if row.count < self._most or row.count < self._most * (1 + self._older(job, row)):
            return None
        del self._rows[job.batch_id]
        return (
            f"{row.count} prompts in a row failed with the same error, for example prompt"
            f" {job.position}: {reply.message}. `promptmill resume {job.batch_id}` goes on;"
            f" `promptmill retry {job.batch_id}` does them again"
        )

    def answered(self, batch_id: int) -> None:
        """Take in that a prompt of a batch was answered."""
        self._rows.pop(batch_id, None)

    def _older(self, job: DueJob, row: _Row) -> int:
        return sum(number <= row.begun for number in self._open.get(job.batch_id, ()))
