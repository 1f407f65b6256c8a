"""Notice that all prompts of a batch fail in the same way, before all of them were paid for."""

from dataclasses import dataclass

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.workers.providers.base import Answer, Refusal

_Error = tuple[str, int | None, str | None]
"""model, HTTP status, the provider's code"""


@dataclass(slots=True)
class _Row:
    error: _Error
    count: int = 0


class SameFailures:
    """Counts equal `request` errors in a row by batch, as this process sees them. For one thread.

    *most* of them are enough; with 0 they are not counted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[int, _Row] = {}

    def observe(self, job: DueJob, reply: Answer | Refusal) -> str | None:
        """Take in what *job* came to. Returns why its batch should stop, and counts anew then."""
        if isinstance(reply, Answer):
            self._rows.pop(job.batch_id, None)
            return None
        if reply.kind is not ErrorKind.REQUEST or not self._most:
            return None
        error = (job.model, reply.http_status, reply.code)
        row = self._rows.get(job.batch_id)
        if row is None or row.error != error:
            row = self._rows[job.batch_id] = _Row(error)
        row.count += 1
        if row.count < self._most:
            return None
        del self._rows[job.batch_id]
        return (
            f"{self._most} prompts in a row failed with the same error, for example prompt"
            f" {job.position}: {reply.message}. `promptmill resume {job.batch_id}` goes on;"
            f" `promptmill retry {job.batch_id}` does them again"
        )
