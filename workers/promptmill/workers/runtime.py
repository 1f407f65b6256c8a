"""One worker process at work: what it has in hand, how it shows that it lives, how it stops."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from typing import Any

from promptmill.schema.errors import ContractError
from promptmill.schema.hint import Hint
from promptmill.schema.presence import NO_KEY
from promptmill.schema.revisions import require_recent
from promptmill.schema.settings import Settings
from promptmill.workers.attempt import Attempt
from promptmill.workers.bench import KeyPause, Report, ignore
from promptmill.workers.equipment import LAST_WRITE_S, Equipment
from promptmill.workers.heartbeat import Heartbeat
from promptmill.workers.lane.loop import LaneLoop
from promptmill.workers.providers.listener import Listener

_log = logging.getLogger(__name__)


class Runtime:
    """One worker process at work. Its methods run on the pool's loop unless they say otherwise."""

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[str],
        *,
        taken: Callable[[], list[int]],
        takes_hints: bool = True,
    ) -> None:
        """*takes_hints*: it answers what the dispatcher sends; else only what it is handed."""
        self._settings, self._names, self._taken = settings, providers, taken
        self._takes_hints = takes_hints
        self._equipment = Equipment(settings, makes_vectors=takes_hints, farewell=self._say_goodbye)
        self._under_way: set[Attempt] = set()
        self._idle = asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        self._heartbeat: Heartbeat | None = None
        self._lane: LaneLoop | None = None

    async def start(self) -> None:
        """Open SQL, Redis, the providers and the beat. Raises where SQL is not ready."""
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as opened:
            await self._equipment.open(self._names, opened)
            self.bench, self._roster = self._equipment.bench, self._equipment.roster
            heartbeat = self._make_heartbeat()
            await asyncio.to_thread(heartbeat.start)
            self._heartbeat = heartbeat
            self._opened = opened.pop_all()
        if self._takes_hints:
            await self._begin()

    @property
    def worker_id(self) -> str | None:
        """Its name in SQL, once it has begun to beat."""
        return None if self._heartbeat is None else self._heartbeat.worker_id

    @property
    def served(self) -> list[str]:
        """Name the providers that this process has a key for."""
        return list(self._roster.served)

    async def complete(
        self, provider: str, hint: Hint, *, listener: Listener | None = None
    ) -> Report:
        """Take the job of *hint* as far as it goes now; *listener* hears its answer meanwhile."""
        served = self._roster.served.get(provider)
        if served is None:
            await self.bench.recorder.unqueue(hint)
            return Report(f"paused: key: {provider} has no key in this worker")
        attempt = Attempt(hint, served, self.bench, listener=listener)
        self._idle.clear()
        self._under_way.add(attempt)
        try:
            return await attempt.run()
        finally:
            self._under_way.discard(attempt)
            if not self._under_way:
                self._idle.set()

    def hint_again(self, hint: Hint, seconds: float, publish: Callable[[], object]) -> None:
        """Call *publish* in a thread after *seconds*, unless dispatch hints the job before."""

        async def wait_and_publish() -> None:
            await asyncio.sleep(seconds)
            if not self.bench.draining and await self.bench.recorder.requeue(hint):
                await asyncio.to_thread(publish)

        self._spawn(wait_and_publish())

    def drain(self) -> None:
        """From now on nothing is sent. What waits goes back; open calls go on. Any thread."""
        self._loop.call_soon_threadsafe(self._drain)

    def abandon(self) -> None:
        """End the open calls too: their outcome is unknown. Any thread."""
        self._loop.call_soon_threadsafe(self._interrupt, True)

    async def stop(self) -> None:
        """Let open calls end within the grace time, store what came, give everything back."""
        self._drain()
        if self._lane is not None:
            await asyncio.to_thread(self._lane.stop)
        await self._idle_within(self._settings.worker.grace_s)
        self._interrupt(True)
        await self._idle_within(LAST_WRITE_S)
        await self._opened.aclose()

    def _make_heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self._equipment.database,
            worker_id=self.bench.recorder.worker_id,
            pid=os.getpid(),
            version=version("promptmill"),
            # Of none, where it takes no hints: the dispatcher would count on it.
            keys=self._roster.keys() if self._takes_hints else {},
            concurrency=self._settings.worker.concurrency,
            beat_s=self._settings.worker.beat_s,
            max_crashes=self._settings.retry.max_crashes,
            in_hand=self._taken,
            claimed=self._claimed,
            on_beat=self._after_beat,
            on_declared_dead=self.bench.recorder.take_name,
        )

    async def _begin(self) -> None:
        """Start the lane, and tell all which providers have no key here."""
        equipment, served = self._equipment, self._roster.served
        self._lane = LaneLoop(self._settings, equipment.database, served, trace=self._trace)
        self._lane.start()
        for name, reason in self._roster.missing.items():
            pause = KeyPause(name, NO_KEY, "key", f"key: {reason}")
            await asyncio.to_thread(equipment.pauses.write, pause)

    async def _idle_within(self, seconds: float) -> None:
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    async def _say_goodbye(self) -> None:
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.stop)

    def _claimed(self) -> frozenset[tuple[int, int]]:
        under_way = frozenset(
            (attempt.hint.job_id, attempt.fence)
            for attempt in tuple(self._under_way)
            if attempt.fence is not None
        )
        return under_way | self.bench.recorder.spooled()

    def _after_beat(self) -> None:
        """Follow limits that were changed live, and keep our places in flight. In its thread."""
        self._leave_if_outdated()
        live = self._equipment.allowances.read()

        async def go_on() -> None:
            self._equipment.allowances.take(live, self.bench.permits)
            await self.bench.permits.renew()

        self._run_soon(go_on)

    def _leave_if_outdated(self) -> None:
        """Stop as on SIGTERM where a newer release has upgraded SQL to what we would spoil."""
        try:
            with self._equipment.database.read() as connection:
                require_recent(connection)
        except ContractError as error:
            if not self.bench.draining:
                _log.error("%s; this worker stops", error)
                os.kill(os.getpid(), signal.SIGTERM)

    def _trace(self, *call: Any) -> None:
        """Let what came by the lane be traced where all calls are. Any thread."""
        if self.bench.trace is not ignore:
            self._loop.call_soon_threadsafe(self.bench.trace, *call)

    def _drain(self) -> None:
        self.bench.draining = True
        self.bench.recorder.leave()
        self._interrupt(False)

    def _interrupt(self, sent_too: bool) -> None:
        for attempt in tuple(self._under_way):
            if sent_too or not attempt.is_needed:
                attempt.interrupt()

    def _run_soon(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._loop.call_soon_threadsafe(lambda: self._spawn(make()))

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
