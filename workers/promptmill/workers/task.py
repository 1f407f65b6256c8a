"""The Celery task: an adapter between Celery's words and ours.

`self.retry` stays the mechanism of retries. Only its publishing is ours: a message with a long
countdown would be redelivered after the visibility timeout and run again, so a long wait is parked
in SQL (dispatch hints it when it is due) and a short one is a timer of this process.
"""

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from celery import Celery, Task
from celery.result import AsyncResult
from celery.worker import state

from promptmill.schema.hint import Hint, task_name
from promptmill.workers.bench import PARK_AFTER_S
from promptmill.workers.pool import await_

if TYPE_CHECKING:
    from promptmill.workers.runtime import Runtime


class JobFailed(Exception):  # noqa: N818  shown in Flower as what it is
    """The job ended without an answer. The text is a class and a code, never a prompt."""


class CompletePrompt(Task):  # type: ignore[type-arg]  # generic in the stubs only
    """Complete one prompt of one provider."""

    provider: ClassVar[str]
    runtime: "ClassVar[Runtime | None]" = None
    """Set while a worker runs."""

    max_retries = None  # the row decides
    ignore_result = True
    acks_late = False  # the row is the job; a hint that is lost is hinted again
    throws = (JobFailed,)

    def run(self, job_id: int, dispatch_no: int) -> str:
        """Complete the job of a hint; the text returned is what Flower shows."""
        if CompletePrompt.runtime is None:
            msg = "no runtime: start the worker with `celery -A promptmill.workers worker`"
            raise RuntimeError(msg)
        hint = Hint(job_id, dispatch_no)
        report = await_(CompletePrompt.runtime.complete(self.provider, hint))
        if report.retry_in_s is not None:
            # Celery would show the bare arguments of a retry: pass on what dispatch would show.
            shown: dict[str, Any] = {"argsrepr": _shown(self.request), "kwargsrepr": ""}
            raise self.retry(countdown=report.retry_in_s, exc=JobFailed(report.text), **shown)
        if report.failed:
            raise JobFailed(report.text)
        return report.text

    def apply_async(  # type: ignore[override]  # the stubs list every option
        self, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """Publish, unless this is a retry that has to wait."""
        countdown = options.pop("countdown", None)
        if countdown is None or CompletePrompt.runtime is None:
            return super().apply_async(args, kwargs, **options)
        if countdown <= PARK_AFTER_S:
            publish = partial(super().apply_async, args, kwargs, **options)
            CompletePrompt.runtime.hint_again(Hint(*args), countdown, publish)
        return AsyncResult(options["task_id"], app=self.app)


def _shown(request: Any) -> str:
    """Name the prompt as dispatch did, with the number of the next attempt at its end."""
    return re.sub(r"\d+$", lambda attempt: str(int(attempt[0]) + 1), str(request.argsrepr))


def forget_revoked(request: Any = None, **_: Any) -> None:
    """Let a revoked job run again: a revoke ends one execution, `promptmill cancel` ends a job.

    Celery keeps the id for three hours and drops each hint of the job, which has it for life.
    """
    state.revoked.discard(request.id)


def register_tasks(app: Celery, providers: list[str]) -> None:
    """Give *app* one task for each provider."""
    for provider in providers:
        members = {"name": task_name(provider), "provider": provider, "__doc__": _DOC % provider}
        app.register_task(type("CompletePrompt", (CompletePrompt,), members)())


_DOC = "Complete one prompt of provider %s."
