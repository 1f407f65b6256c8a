"""The lane at work, beside the live calls of a worker: a thread with an event loop of its own.

Of all workers of a provider one leads its lane, by a lease row in SQL. Where no batch has a lane it
reads one row every few seconds, and leads nothing.
"""

import asyncio
import random
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

import structlog

from promptmill.schema.broker import redis_url
from promptmill.schema.cache_secret import cache_secret
from promptmill.schema.database import Database, DatabaseError, is_passing
from promptmill.schema.errors import ServiceError
from promptmill.schema.host import new_owner
from promptmill.schema.leader import Lead
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.provider_batches import ProviderBatch, lane_is_needed, open_provider_batches
from promptmill.schema.settings import Settings
from promptmill.workers.bench import Trace, ignore
from promptmill.workers.files import AnswerFiles
from promptmill.workers.lane.filling import Filler
from promptmill.workers.lane.harvest import Harvest
from promptmill.workers.lane.passage import Passage
from promptmill.workers.lane.sharing import Sharing
from promptmill.workers.limits.connection import connect
from promptmill.workers.providers.batches import BatchApi
from promptmill.workers.providers.http import open_http
from promptmill.workers.providers.registry import make_batch_api
from promptmill.workers.references import References
from promptmill.workers.served import Served

_log = structlog.get_logger(__name__)
_CONNECTIONS: Final = 8
_BEAT_S: Final = 1.0
_LEAVE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Way:
    """The lane of one provider."""

    name: str
    lead: Lead
    filler: Filler
    passage: Passage


class LaneLoop:
    """Works for the lanes of the providers in *served* that have a batch API.

    *trace* hears of each row that came, in the lane's thread.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        served: Mapping[str, Served],
        *,
        trace: Trace = ignore,
    ) -> None:
        self._settings, self._database, self._trace = settings, database, trace
        self._served = {name: one for name, one in served.items() if one.settings.has_batch_api}
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="lane", daemon=True)

    def start(self) -> None:
        """Begin to work, if there is a provider to work for."""
        if self._served:
            self._thread.start()

    def stop(self) -> None:
        """Leave everything as SQL has it: who leads next goes on from there. Any thread."""
        self._stopping.set()
        if self._loop is not None and self._work is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._work.cancel)
        if self._thread.is_alive():
            self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        network = self._settings.network
        http = open_http(concurrency=_CONNECTIONS, network=network)
        redis = connect(redis_url(self._settings))
        references = References(
            redis,
            prefix=self._settings.key_prefix,
            read_secret=partial(cache_secret, self._database),
        )
        ways = [
            self._way(one, make_batch_api(name, one.settings, http, network), references)
            for name, one in self._served.items()
        ]
        beating = asyncio.create_task(_beat(ways))
        try:
            while not self._stopping.is_set():
                await asyncio.gather(*(self._turn(way) for way in ways))
                await asyncio.sleep(self._settings.lane.interval_s)
        finally:
            beating.cancel()
            for way in ways:
                with suppress(DatabaseError, ServiceError):
                    way.lead.resign()
            await redis.aclose()
            await http.aclose()

    async def _turn(self, way: _Way) -> None:
        try:
            with self._database.read() as connection:
                is_needed = lane_is_needed(connection, way.name)
            if not is_needed:
                way.lead.resign()
                return
            if not way.lead.hold():
                return
            with self._database.read() as connection:
                there = open_provider_batches(connection, provider=way.name)
            for one in there:
                await _advance(way, one)
            await way.filler.fill()
        except Exception as error:  # noqa: BLE001  the outermost loop of this thread
            # Its text may quote a prompt.
            name = type(error).__name__
            if is_passing(error):
                way.lead.missed()
                _log.warning("sql is away", provider=way.name, error=name)
            else:
                _log.error("lane broken", provider=way.name, error=name)

    def _way(self, served: Served, api: BatchApi, references: References) -> _Way:
        settings = self._settings
        harvest = Harvest(
            self._database,
            served,
            api,
            policy=settings.retry,
            files=AnswerFiles(settings.files_folder),
            rng=random.Random(),
            trace=self._trace,
            finder=finder_of(settings.pii),
        )
        filler = Filler(
            self._database,
            served,
            api,
            settings=settings.lane,
            policy=settings.retry,
            sharing=Sharing(self._database, served, references),
        )
        passage = Passage(
            self._database, served, api, filler=filler, harvest=harvest, settings=settings.lane
        )
        lead = Lead(
            self._database,
            role=f"lane {served.name}",
            owner=new_owner(),
            patience_s=settings.dispatch.leader_s,
            clock=monotonic,
        )
        return _Way(served.name, lead, filler, passage)


async def _advance(way: _Way, one: ProviderBatch) -> None:
    """Take one on; what is wrong with it keeps no other from its way."""
    try:
        await way.passage.advance(one)
    except Exception as error:
        if is_passing(error):
            raise
        name = type(error).__name__  # its text may quote a prompt
        _log.error("not advanced", provider_batch=one.id, error=name)
        way.passage.is_stuck(one, f"not advanced: {name}")


async def _beat(ways: list[_Way]) -> None:
    """Keep the lead also while a large file goes up."""
    while True:
        await asyncio.sleep(_BEAT_S)
        for way in ways:
            if way.lead.leads:
                with suppress(DatabaseError, ServiceError):
                    way.lead.hold()
