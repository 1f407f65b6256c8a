"""The worker that a gateway is for its own live calls: what is heard of them needs no way back.

It has all that any worker has, rows and limits and a beat, but takes no hints: the dispatcher does
not count on it. Providers that it has no key for are left to the workers, and so is all where no
Redis is named. It is opened by the first live call: with three SDKs it takes 160 MiB.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING

import structlog

from promptmill.schema.errors import SettingsError
from promptmill.schema.moves.queueing import Queued
from promptmill.schema.settings import Settings

if TYPE_CHECKING:
    from promptmill.workers.bench import Report
    from promptmill.workers.providers.listener import Listener
    from promptmill.workers.runtime import Runtime

_log = structlog.get_logger(__name__)
_LAST_S = 5.0


class Answering:
    """Answers live calls in this process. Its methods run on the server's loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._runtime: Runtime | None = None
        self._is_off = settings.redis_url is None
        self._in_hand: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> Sequence[str]:
        """Be ready; name the providers that are asked from here. Raises where SQL is away."""
        async with self._opening:
            if self._runtime is None and not self._is_off:
                await self._start()
        return () if self._runtime is None else self._runtime.served

    async def _start(self) -> None:
        runtime = await asyncio.to_thread(self._make)
        try:
            await runtime.start()
        except SettingsError as error:
            _log.error("live calls are left to the workers", error=str(error))
            self._is_off = True
        else:
            self._runtime = runtime

    @property
    def worker_id(self) -> str | None:
        """Its name in SQL, by whose beat others see that clients may wait here; None: it has none.

        Calls that nobody waits for any more are cancelled by that.
        """
        return None if self._runtime is None else self._runtime.worker_id

    def _make(self) -> "Runtime":
        """Make the worker, of all providers that have what opens them."""
        from promptmill.workers.runtime import Runtime  # noqa: PLC0415  seconds, and 160 MiB with the SDKs

        opened = [
            name
            for name, provider in self._settings.providers.items()
            if provider.key is not None or not provider.needs_key
        ]
        return Runtime(self._settings, opened, taken=lambda: list(self._in_hand), takes_hints=False)

    def take(self, job: Queued) -> None:
        """Have *job* in hand: from here on the sweep leaves it to us, until `complete` is over."""
        self._in_hand.add(job.job_id)

    async def complete(self, job: Queued, listener: "Listener | None") -> "Report":
        """Take *job* as far as it goes now. `open` has returned."""
        if self._runtime is None:
            msg = "a job is completed before `open`"
            raise RuntimeError(msg)
        try:
            return await self._runtime.complete(job.provider, job.hint, listener=listener)
        finally:
            self._in_hand.discard(job.job_id)

    def spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Let something go on that its request may not live to see."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Let open calls end, store what came, give everything back."""
        if self._runtime is not None:
            await self._runtime.stop()
        if self._tasks:
            _ended, late = await asyncio.wait(self._tasks, timeout=_LAST_S)
            for task in late:  # SQL is away: the sweep will cancel what nobody waits for any more
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
