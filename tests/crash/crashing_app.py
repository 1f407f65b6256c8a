"""The workers' app with a mine in it: it kills its process at one step of one job.

    MINE=claimed MINE_JOB=17 celery -A tests.crash.crashing_app worker …

With MINE_SIGNAL=SIGSTOP it is suspended there.

The real functions are wrapped from outside, so that the product has no hook for this.
"""

import os
import signal
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from kombu.transport.redis import Transport

from promptmill.schema.moves.endings import Closing
from promptmill.workers import app, writes
from promptmill.workers.attempt import Attempt
from promptmill.workers.pool import AsyncioPool
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.openai.client import OpenAIProvider
from promptmill.workers.recorder import Recorder
from promptmill.workers.writes import Write

__all__ = ["app"]

STEP, JOB = os.environ["MINE"], int(os.environ["MINE_JOB"])
_gone_off: list[int] = []
SIGNAL = signal.Signals[os.environ.get("MINE_SIGNAL", "SIGKILL")]


def step_on(job_id: int) -> None:
    """Die as the kernel kills: at once, nothing flushed, nothing said. A mine goes off once."""
    if job_id == JOB and not _gone_off:
        _gone_off.append(job_id)
        os.kill(os.getpid(), SIGNAL)


def popped() -> None:
    """Out of the list, and nowhere else yet."""
    deliver = Transport._deliver

    @wraps(deliver)
    def delivering(self: Any, message: Any, queue: str) -> Any:
        name = message.get("headers", {}).get("id", "")
        if name.startswith("job-"):
            step_on(int(name.removeprefix("job-")))
        return deliver(self, message, queue)

    Transport._deliver = delivering  # type: ignore[assignment,method-assign]


def started() -> None:
    """Celery has acknowledged the message and begun the task."""
    run = Attempt.run

    @wraps(run)
    async def running(self: Attempt) -> Any:
        step_on(self.hint.job_id)
        return await run(self)

    Attempt.run = running  # type: ignore[method-assign]


def claimed() -> None:
    """The intent is committed, and nothing is sent."""
    claim = Recorder.claim

    @wraps(claim)
    async def claiming(self: Recorder, hint: Any, *rest: Any) -> int | None:
        fence = await claim(self, hint, *rest)
        step_on(hint.job_id)
        return fence

    Recorder.claim = claiming  # type: ignore[assignment,method-assign]


def answered() -> None:
    """The answer is in memory only."""
    complete = OpenAIProvider.complete

    @wraps(complete)
    async def completing(self: OpenAIProvider, call: Call) -> Answer | Refusal:
        reply = await complete(self, call)
        step_on(int(call.request_id.split("-")[1]))
        return reply

    OpenAIProvider.complete = completing  # type: ignore[method-assign]


def stored() -> None:
    """The answer is in an open transaction."""
    close = writes.close  # type: ignore[attr-defined]

    @wraps(close)
    def closing(connection: Any, closings: Sequence[Closing], *, worker_id: str) -> set[int]:
        moved = close(connection, closings, worker_id=worker_id)
        for each in closings:
            step_on(each.job_id)
        return moved

    writes.close = closing  # type: ignore[attr-defined]


def committed() -> None:
    """The transaction is committed, and nobody here knows it."""
    commit = Recorder._commit

    @wraps(commit)
    def committing(self: Recorder, writes: Sequence[Write], *, again: bool) -> Any:
        answers = commit(self, writes, again=again)
        for write in writes:
            if isinstance(write, Closing):
                step_on(write.job_id)
        return answers

    Recorder._commit = committing  # type: ignore[method-assign]


def acked() -> None:
    """Celery has been told that the task is done."""
    apply = AsyncioPool.on_apply

    @wraps(apply)
    def applying(self: AsyncioPool, *args: Any, **options: Any) -> None:
        tell, name = options["callback"], options["correlation_id"]

        def telling(returned: Any) -> None:
            tell(returned)
            step_on(int(name.removeprefix("job-")))

        apply(self, *args, **(options | {"callback": telling}))

    AsyncioPool.on_apply = applying  # type: ignore[method-assign]


MINES: dict[str, Callable[[], None]] = {
    mine.__name__: mine for mine in (popped, started, claimed, answered, stored, committed, acked)
}
MINES[STEP]()
