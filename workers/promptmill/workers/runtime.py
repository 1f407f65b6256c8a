"""All that one worker process has: made when it starts, given back in order when it stops."""

import asyncio
import logging
import os
import random
import signal
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any

from promptmill.schema import tokens
from promptmill.schema.broker import redis_url
from promptmill.schema.cache_secret import cache_secret
from promptmill.schema.database import SERVICE_PATIENCE_S, Database, DatabaseError
from promptmill.schema.errors import ContractError, ServiceError, SettingsError
from promptmill.schema.extras import how_to_install
from promptmill.schema.hint import Hint
from promptmill.schema.history import recent_latencies
from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.pauses import pause_provider
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.presence import NO_KEY
from promptmill.schema.revisions import newest_revision, require_current, require_recent
from promptmill.schema.settings import Settings
from promptmill.workers.allowances import Allowances
from promptmill.workers.attempt import Attempt
from promptmill.workers.bench import BatchPause, Bench, KeyPause, Report, all_of, ignore
from promptmill.workers.deadlines import Deadlines
from promptmill.workers.files import AnswerFiles
from promptmill.workers.heartbeat import Heartbeat
from promptmill.workers.lane.loop import LaneLoop
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.permits import Permits
from promptmill.workers.outages import Outages
from promptmill.workers.providers.http import open_http
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.listener import Listener
from promptmill.workers.recorder import Recorder
from promptmill.workers.references import References
from promptmill.workers.request_log import RequestLog
from promptmill.workers.same_failures import SameFailures
from promptmill.workers.served import Served, serve
from promptmill.workers.similarity import Similarity
from promptmill.workers.slots import Slots
from promptmill.workers.spool import Spool

if TYPE_CHECKING:
    from promptmill.workers.embedder_calls import EmbedderCalls
    from promptmill.workers.tracing import Tracing

_log = logging.getLogger(__name__)
_BEATS_A_LEASE = 5
"""beats that may be missed before the calls in flight of a dead worker are forgotten"""
_LAST_WRITE_S = 20.0


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
        self._served: dict[str, Served] = {}
        self._beside: dict[str, Served] = {}
        """who is asked for vectors, where no hints of it are taken"""
        self._missing: dict[str, str] = {}
        self._under_way: set[Attempt] = set()
        self._idle = asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        self._pausing: dict[tuple[str | int, ...], asyncio.Task[Any]] = {}
        self._heartbeat: Heartbeat | None = None
        self._lane: LaneLoop | None = None

    async def start(self) -> None:
        """Open SQL, Redis, the providers and the beat. Raises where SQL is not ready."""
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as opened:
            await self._open(opened)
            self._opened = opened.pop_all()
        if not self._takes_hints:
            return
        self._lane = LaneLoop(self._settings, self._database, self._served, trace=self._trace)
        self._lane.start()
        for name, reason in self._missing.items():
            pause = KeyPause(name, NO_KEY, "key", f"key: {reason}")
            await asyncio.to_thread(self._pause_in_sql, pause)

    async def _open(self, opened: AsyncExitStack) -> None:
        """Open all, each with how it is closed; what was opened last is closed first."""
        worker, finder = self._settings.worker, finder_of(self._settings.pii)
        self._database = Database.from_settings(self._settings, patience_s=SERVICE_PATIENCE_S)
        opened.callback(self._database.close)
        found = await asyncio.to_thread(require_current, self._database)
        if found != newest_revision():
            _log.warning("sql is at revision %s, of a newer release; this one may go on", found)
        await asyncio.to_thread(tokens.load)  # 0.4 s: not while the first prompt waits
        self._request_log = self._open_request_log(opened)
        self._tracing = self._open_tracing(opened)
        self._http: LeanClient = open_http(
            concurrency=worker.concurrency, network=self._settings.network
        )
        opened.push_async_callback(self._http.aclose)
        opened.push_async_callback(self._close_providers)
        for name in self._names:
            await asyncio.to_thread(self._open_provider, name)  # imports its SDK
        await asyncio.to_thread(self._open_embedder)
        self._allowances = Allowances(self._database, self._served, self._beside)
        worker_id = str(uuid.uuid4())
        permits = self._open_permits(opened)
        # What is still stored then is stored under a name that is known to live.
        opened.push_async_callback(self._say_goodbye)
        similarity = Similarity(self._settings.cache, self._database, ask=self._embedder_calls)
        opened.push_async_callback(similarity.close)
        self.bench = Bench(
            recorder=self._open_recorder(opened, worker_id),
            permits=permits,
            references=References(
                self._redis,
                prefix=self._settings.key_prefix,
                read_secret=partial(cache_secret, self._database),
            ),
            similarity=similarity,
            policy=self._settings.retry,
            deadlines=Deadlines(most_s=worker.call_timeout_s, factor=worker.call_timeout_factor),
            slots=Slots(worker.concurrency),
            calls=Slots(worker.concurrency),
            rng=random.Random(),
            pause=self._pause,
            files=AnswerFiles(self._settings.files_folder),
            background_s=worker.background_s,
            poll_s=worker.poll_s,
            outages=Outages(patience_s=self._settings.retry.outage_s, clock=monotonic),
            same_failures=SameFailures(self._settings.retry.same_failures),
            finder=finder,
            trace=all_of([one.record for one in (self._tracing, self._request_log) if one]),
        )
        for scope, histogram in (await asyncio.to_thread(self._past_latencies)).items():
            self.bench.deadlines.seed(*scope, histogram)
        self._allowances.take(await asyncio.to_thread(self._allowances.read), self.bench.permits)
        await asyncio.to_thread(self.bench.recorder.store_leftovers)
        heartbeat = self._make_heartbeat(worker_id)
        await asyncio.to_thread(heartbeat.start)
        self._heartbeat = heartbeat

    @property
    def worker_id(self) -> str | None:
        """Its name in SQL, once it has begun to beat."""
        return None if self._heartbeat is None else self._heartbeat.worker_id

    @property
    def served(self) -> list[str]:
        """Name the providers that this process has a key for."""
        return list(self._served)

    async def complete(
        self, provider: str, hint: Hint, *, listener: Listener | None = None
    ) -> Report:
        """Take the job of *hint* as far as it goes now; *listener* hears its answer meanwhile."""
        served = self._served.get(provider)
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
        await self._idle_within(_LAST_WRITE_S)
        await self._opened.aclose()

    async def _idle_within(self, seconds: float) -> None:
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    def _past_latencies(self) -> dict[tuple[str, str], list[tuple[int, int]]]:
        with self._database.read() as connection:
            return recent_latencies(connection)

    def _open_provider(self, name: str) -> None:
        try:
            settings = self._settings
            self._served[name] = serve(name, settings.providers[name], self._http, settings.network)
        except SettingsError as error:
            _log.error("%s", error)
            self._missing[name] = str(error)

    async def _close_providers(self) -> None:
        for served in (*self._served.values(), *self._beside.values()):
            await served.adapter.close()

    async def _say_goodbye(self) -> None:
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.stop)

    def _open_embedder(self) -> None:
        """Open the provider that is asked for vectors, where it is none of those served."""
        asked = self._settings.cache.asked
        if asked is None or asked[0] in self._served or not self._takes_hints:
            return
        try:
            name, settings = asked[0], self._settings
            found = settings.providers.get(name)
            if found is None:
                msg = f"cache.embedder names the provider {name}, and there is none"
                raise SettingsError(msg)
            self._beside[name] = serve(name, found, self._http, settings.network)
        except SettingsError as error:
            _log.error("%s", error)

    def _embedder_calls(self) -> "EmbedderCalls":
        from promptmill.workers.embedder_calls import EmbedderCalls  # noqa: PLC0415  of an extra

        name, model = self._settings.cache.asked or ("", "")

        def served() -> Served:
            found = self._served.get(name) or self._beside.get(name)
            if found is None:
                msg = f"cache.embedder names {name}, which this worker cannot ask"
                raise SettingsError(msg)
            return found

        return EmbedderCalls(self.bench, self._database, served, model)

    def _open_tracing(self, opened: AsyncExitStack) -> "Tracing | None":
        if not self._settings.worker.traces:
            return None
        try:
            from promptmill.workers.tracing import Tracing  # noqa: PLC0415  of an extra
        except ImportError as error:
            msg = (
                "worker.traces is on, and OpenTelemetry is not installed: "
                f"`{how_to_install('otel')}`, or leave the setting out"
            )
            raise SettingsError(msg) from error
        tracing = Tracing()
        opened.push_async_callback(asyncio.to_thread, tracing.close)
        return tracing

    def _open_request_log(self, opened: AsyncExitStack) -> RequestLog | None:
        worker = self._settings.worker
        if worker.request_log is None:
            return None
        log = RequestLog(
            worker.request_log, bodies=worker.request_log_bodies, days=worker.request_log_days
        )
        opened.callback(log.close)
        return log

    def _open_recorder(self, opened: AsyncExitStack, worker_id: str) -> Recorder:
        worker = self._settings.worker
        recorder = Recorder(
            self._database,
            worker_id=worker_id,
            group_rows=worker.group_rows,
            group_s=worker.group_ms / 1000,
            spool=Spool(self._settings.spool_dir, most_bytes=worker.spool_bytes),
        )
        opened.push_async_callback(asyncio.to_thread, recorder.stop, _LAST_WRITE_S)
        return recorder

    def _open_permits(self, opened: AsyncExitStack) -> Permits:
        self._redis = connect(redis_url(self._settings))
        opened.push_async_callback(self._redis.aclose)
        kinds = {name: provider.kind for name, provider in self._settings.providers.items()}
        permits = Permits(
            self._redis,
            prefix=self._settings.key_prefix,
            kinds=kinds,
            lease_s=_BEATS_A_LEASE * self._settings.worker.beat_s,
            seed=self._allowances.past_of,
        )
        opened.push_async_callback(permits.close)
        return permits

    def _make_heartbeat(self, worker_id: str) -> Heartbeat:
        keys = {name: served.fingerprint for name, served in self._served.items()}
        keys |= dict.fromkeys(self._missing, NO_KEY)
        return Heartbeat(
            self._database,
            worker_id=worker_id,
            pid=os.getpid(),
            version=version("promptmill"),
            keys=keys if self._takes_hints else {},  # else the dispatcher would count on it
            concurrency=self._settings.worker.concurrency,
            beat_s=self._settings.worker.beat_s,
            max_crashes=self._settings.retry.max_crashes,
            in_hand=self._taken,
            claimed=self._claimed,
            on_beat=self._after_beat,
            on_declared_dead=self.bench.recorder.take_name,
        )

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
        live = self._allowances.read()

        async def go_on() -> None:
            self._allowances.take(live, self.bench.permits)
            await self.bench.permits.renew()

        self._run_soon(go_on)

    def _leave_if_outdated(self) -> None:
        """Stop as on SIGTERM where a newer release has upgraded SQL to what we would spoil."""
        try:
            with self._database.read() as connection:
                require_recent(connection)
        except ContractError as error:
            if not self.bench.draining:
                _log.error("%s; this worker stops", error)
                os.kill(os.getpid(), signal.SIGTERM)

    def _trace(self, *call: Any) -> None:
        """Let what came by the lane be traced where all calls are. Any thread."""
        if self.bench.trace is not ignore:
            self._loop.call_soon_threadsafe(self.bench.trace, *call)

    async def _pause(self, pause: KeyPause | BatchPause) -> None:
        """Stop it for all workers. Of calls that are refused together one writes for all."""
        held: tuple[str | int, ...]
        if isinstance(pause, BatchPause):
            held = (pause.batch_id,)
        else:
            held = (pause.provider, pause.fingerprint, pause.model, pause.kind)
        if held not in self._pausing:
            self._pausing[held] = self._spawn(self._write_pause(pause))
            self._pausing[held].add_done_callback(lambda _: self._pausing.pop(held))
        await asyncio.shield(self._pausing[held])

    async def _write_pause(self, pause: KeyPause | BatchPause) -> None:
        try:
            await asyncio.to_thread(self._pause_in_sql, pause)
        except (DatabaseError, ServiceError) as error:
            _log.error("pause not written, the next refusal will try: %s", type(error).__name__)

    def _pause_in_sql(self, pause: KeyPause | BatchPause) -> None:
        if isinstance(pause, KeyPause):
            _log.error("%s paused: %s", pause.provider, pause.reason)
            with self._database.write() as connection:
                pause_provider(connection, **asdict(pause))
            return
        with self._database.write() as connection:
            is_new = pause_batch(connection, pause.batch_id, pause.reason)
        if is_new:
            _log.error("batch %d paused: %s", pause.batch_id, pause.reason)

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
