"""What the rows of one provider batch came to, taken together.

Rows come in no order that tells anything, and from some providers all errors after all answers. So
that prompts of a batch fail alike is looked for where none of them was answered.
"""

from dataclasses import dataclass, field, replace

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.same_failures import SameFailures


@dataclass(slots=True)
class Tally:
    """Counts, *most* failures at most."""

    most: int
    is_answered: bool
    """an answer was seen, or may have been before"""
    _failed: list[tuple[DueJob, Refusal]] = field(default_factory=list)

    def add(self, job: DueJob, reply: Answer | Refusal) -> None:
        """Count what came of *job*."""
        if isinstance(reply, Answer):
            self.is_answered = True
        elif reply.kind is ErrorKind.REQUEST and len(self._failed) < self.most:
            self._failed.append((replace(job, body=""), reply))

    def judge(self, batch_id: int, same_failures: SameFailures) -> str | None:
        """Tell why the batch should stop, after all that came of it before, too."""
        if self.is_answered:
            same_failures.answered(batch_id)
            return None
        reasons = [same_failures.observe(job, refusal) for job, refusal in self._failed]
        return next(filter(None, reasons), None)
