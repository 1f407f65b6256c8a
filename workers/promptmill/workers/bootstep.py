"""Start and stop the runtime with Celery's worker: after the pool, before the consumer."""

import asyncio
import gc
import sys
from typing import Any

from celery import bootsteps, signals

from promptmill.schema.errors import PromptmillError
from promptmill.schema.settings import Settings
from promptmill.workers.pool import AsyncioPool
from promptmill.workers.runtime import Runtime
from promptmill.workers.shutdown import stop_on_signals, stop_with_parent
from promptmill.workers.task import CompletePrompt, forget_revoked

_QUEUE_PREFIX = "promptmill."
_JOB_PREFIX = "job-"


class RuntimeStep(bootsteps.StartStopStep):
    """Celery's worker blueprint calls this."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        settings: Settings = worker.app.settings
        pool: AsyncioPool = worker.pool
        queues = worker.app.amqp.queues.consume_from
        providers = [name.removeprefix(_QUEUE_PREFIX) for name in queues]
        self._runtime = Runtime(settings, providers, taken=lambda: _job_ids(pool.in_hand()))
        try:
            asyncio.run_coroutine_threadsafe(self._runtime.start(), pool.loop).result()
        except PromptmillError as error:
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(error.exit_code) from None
        _leave_to_itself()
        CompletePrompt.runtime = self._runtime
        signals.task_revoked.connect(forget_revoked, weak=False)
        stop_on_signals(self._runtime)
        if settings.parent_fd is not None:
            stop_with_parent(settings.parent_fd, grace_s=settings.worker.grace_s)

    def stop(self, worker: Any) -> None:
        pool: AsyncioPool = worker.pool
        pool.forget_queued()
        asyncio.run_coroutine_threadsafe(self._runtime.stop(), pool.loop).result()

    def terminate(self, worker: Any) -> None:
        self._runtime.abandon()
        self.stop(worker)


def _leave_to_itself() -> None:
    """Keep what is there for good (three SDKs, some 800,000 objects) out of every collection.

    By default Python looks for garbage after each 700 new objects, a tenth of a job's CPU here.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _job_ids(task_ids: list[str]) -> list[int]:
    return [
        int(task_id.removeprefix(_JOB_PREFIX))
        for task_id in task_ids
        if task_id.startswith(_JOB_PREFIX)
    ]
