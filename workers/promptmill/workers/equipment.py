"""What a worker process opens before its first prompt, each with how it is closed."""

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from promptmill.schema import tokens
from promptmill.schema.broker import redis_url
from promptmill.schema.cache_secret import cache_secret
from promptmill.schema.database import SERVICE_PATIENCE_S, Database
from promptmill.schema.errors import SettingsError
from promptmill.schema.extras import how_to_install
from promptmill.schema.history import recent_latencies
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.pii.shapes import Finder
from promptmill.schema.revisions import newest_revision, require_current
from promptmill.schema.settings import Settings
from promptmill.workers.allowances import Allowances
from promptmill.workers.bench import Bench, Trace, all_of
from promptmill.workers.deadlines import Deadlines
from promptmill.workers.files import AnswerFiles
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.permits import Permits
from promptmill.workers.outages import Outages
from promptmill.workers.pause_writer import PauseWriter
from promptmill.workers.providers.http import open_http
from promptmill.workers.recorder import Recorder
from promptmill.workers.references import References
from promptmill.workers.request_log import RequestLog
from promptmill.workers.roster import Roster
from promptmill.workers.same_failures import SameFailures
from promptmill.workers.similarity import Similarity
from promptmill.workers.slots import Slots
from promptmill.workers.spool import Spool

if TYPE_CHECKING:
    from promptmill.workers.embedder_calls import EmbedderCalls
    from promptmill.workers.tracing import Tracing

LAST_WRITE_S = 20.0
"""how long a worker that stops waits until all is stored"""
_BEATS_A_LEASE = 5
"""beats that may be missed before the calls in flight of a dead worker are forgotten"""
_log = logging.getLogger(__name__)


class Equipment:
    """All that the attempts of one process work with.

    `open` sets the attributes; they are closed, the last first, with the stack that it was given.
    """

    database: Database
    roster: Roster
    allowances: Allowances
    pauses: PauseWriter
    bench: Bench

    def __init__(
        self, settings: Settings, *, makes_vectors: bool, farewell: Callable[[], Awaitable[None]]
    ) -> None:
        """*farewell* is awaited when nothing is left to store, before the limiter is closed."""
        self._settings, self._makes_vectors, self._farewell = settings, makes_vectors, farewell

    async def open(self, names: Sequence[str], opened: AsyncExitStack) -> None:
        """Open all, to ask the providers *names*. Raises where SQL is not ready."""
        finder = finder_of(self._settings.pii)
        await self._open_sql(opened)
        await asyncio.to_thread(tokens.load)  # 0.4 s: not while the first prompt waits
        request_log = self._open_request_log(opened)
        tracing = self._open_tracing(opened)
        await self._open_providers(names, opened)
        permits = self._open_limits(opened)
        # What is still stored then is stored under a name that is known to live.
        opened.push_async_callback(self._farewell)
        similarity = Similarity(self._settings.cache, self.database, ask=self._embedder_calls)
        opened.push_async_callback(similarity.close)
        self.bench = self._make_bench(
            permits,
            self._open_recorder(opened),
            similarity,
            finder=finder,
            trace=all_of([one.record for one in (tracing, request_log) if one]),
        )
        await self._look_back()

    async def _open_sql(self, opened: AsyncExitStack) -> None:
        self.database = Database.from_settings(self._settings, patience_s=SERVICE_PATIENCE_S)
        opened.callback(self.database.close)
        found = await asyncio.to_thread(require_current, self.database)
        if found != newest_revision():
            _log.warning("sql is at revision %s, of a newer release; this one may go on", found)
        self.pauses = PauseWriter(self.database)

    def _open_request_log(self, opened: AsyncExitStack) -> RequestLog | None:
        worker = self._settings.worker
        if worker.request_log is None:
            return None
        log = RequestLog(
            worker.request_log, bodies=worker.request_log_bodies, days=worker.request_log_days
        )
        opened.callback(log.close)
        return log

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

    async def _open_providers(self, names: Sequence[str], opened: AsyncExitStack) -> None:
        http = open_http(
            concurrency=self._settings.worker.concurrency, network=self._settings.network
        )
        opened.push_async_callback(http.aclose)
        self.roster = Roster(self._settings, http)
        opened.push_async_callback(self.roster.close)
        await asyncio.to_thread(self.roster.open, names)  # imports their SDKs
        if self._makes_vectors:
            await asyncio.to_thread(self.roster.open_embedder)

    def _open_limits(self, opened: AsyncExitStack) -> Permits:
        self.allowances = Allowances(self.database, self.roster.served, self.roster.beside)
        self._redis = connect(redis_url(self._settings))
        opened.push_async_callback(self._redis.aclose)
        kinds = {name: provider.kind for name, provider in self._settings.providers.items()}
        permits = Permits(
            self._redis,
            prefix=self._settings.key_prefix,
            kinds=kinds,
            lease_s=_BEATS_A_LEASE * self._settings.worker.beat_s,
            seed=self.allowances.past_of,
        )
        opened.push_async_callback(permits.close)
        return permits

    def _open_recorder(self, opened: AsyncExitStack) -> Recorder:
        worker = self._settings.worker
        recorder = Recorder(
            self.database,
            worker_id=str(uuid.uuid4()),
            group_rows=worker.group_rows,
            group_s=worker.group_ms / 1000,
            spool=Spool(self._settings.spool_dir, most_bytes=worker.spool_bytes),
        )
        opened.push_async_callback(asyncio.to_thread, recorder.stop, LAST_WRITE_S)
        return recorder

    def _make_bench(
        self,
        permits: Permits,
        recorder: Recorder,
        similarity: Similarity,
        *,
        finder: Finder,
        trace: Trace,
    ) -> Bench:
        worker, policy = self._settings.worker, self._settings.retry
        references = References(
            self._redis,
            prefix=self._settings.key_prefix,
            read_secret=partial(cache_secret, self.database),
        )
        return Bench(
            recorder=recorder,
            permits=permits,
            references=references,
            similarity=similarity,
            policy=policy,
            deadlines=Deadlines(most_s=worker.call_timeout_s, factor=worker.call_timeout_factor),
            slots=Slots(worker.concurrency),
            calls=Slots(worker.concurrency),
            rng=random.Random(),
            pause=self.pauses.pause,
            files=AnswerFiles(self._settings.files_folder),
            background_s=worker.background_s,
            poll_s=worker.poll_s,
            outages=Outages(patience_s=policy.outage_s, clock=monotonic),
            same_failures=SameFailures(policy.same_failures),
            finder=finder,
            trace=trace,
        )

    def _embedder_calls(self) -> "EmbedderCalls":
        from promptmill.workers.embedder_calls import EmbedderCalls  # noqa: PLC0415  of an extra

        _, model = self._settings.cache.asked or ("", "")
        return EmbedderCalls(self.bench, self.database, self.roster.embedder, model)

    async def _look_back(self) -> None:
        """Learn from SQL what was before, and store what dead processes left."""
        for scope, histogram in (await asyncio.to_thread(self._past_latencies)).items():
            self.bench.deadlines.seed(*scope, histogram)
        self.allowances.take(await asyncio.to_thread(self.allowances.read), self.bench.permits)
        await asyncio.to_thread(self.bench.recorder.store_leftovers)

    def _past_latencies(self) -> dict[tuple[str, str], list[tuple[int, int]]]:
        with self.database.read() as connection:
            return recent_latencies(connection)
