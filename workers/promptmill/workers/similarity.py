"""Look for jobs that were asked something similar. It is opened by the first who asks for that.

What it needs (numpy, a function of the user's own, a provider) may be missing: then prompts are
asked.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.errors import ServiceError, SettingsError
from promptmill.schema.extras import how_to_install
from promptmill.schema.moves.caching import Likeness
from promptmill.schema.moves.similar import Entry, NewEntry, newest_entries
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import CacheSettings
from promptmill.workers.grouping import Grouping
from promptmill.workers.served import Served
from promptmill.workers.similar.split import Split, split

if TYPE_CHECKING:
    from promptmill.workers.similar.embedder import Embedder
    from promptmill.workers.similar.neighbours import Neighbours, Vector

_log = structlog.get_logger(__name__)
_NEAREST = 3
"""that are tried: an answer may be too old, or gone"""
_FRESH_S = 0.2
"""how long what was read of a scope is taken for all that there is"""
_GROUP, _GROUP_S = 64, 0.002


@dataclass(frozen=True, slots=True)
class Sought:
    """What a look came to."""

    near: tuple[tuple[int, Likeness], ...]
    """jobs whose answer would do, the nearest first"""
    scope: str
    job_id: int
    vector: "Vector"


class Vectors(Protocol):
    """Who makes vectors of length 1."""

    made_by: str
    """vectors that were not made by the same are never compared"""

    async def vector(self, job: DueJob, parts: Split) -> "Vector | None":
        """Make one of the text of *job*. None: there is none now. May raise anything."""
        ...

    async def close(self) -> None:
        """Make no more."""
        ...


class _ByFunction:
    """A function makes them, in a thread."""

    def __init__(self, embedder: "Embedder") -> None:
        self.made_by = embedder.name
        self._grouping = Grouping[str, "Vector"](
            lambda texts: list(embedder.vectors(texts)),
            name="embedder",
            most=_GROUP,
            wait_s=_GROUP_S,
        )

    async def vector(self, job: DueJob, parts: Split) -> "Vector | None":  # noqa: ARG002
        return await self._grouping.ask(parts.text)

    async def close(self) -> None:
        await asyncio.to_thread(self._grouping.stop, 1.0)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What is there once somebody asked."""

    vectors: Vectors
    neighbours: "Neighbours"


class Similarity:
    """What was asked, as this worker process knows it."""

    def __init__(
        self,
        settings: CacheSettings,
        database: Database,
        *,
        ask: Callable[[], Vectors] | None = None,
    ) -> None:
        """*ask* opens what asks a provider for vectors, where the settings name one.

        It may raise ImportError and SettingsError.
        """
        self._settings, self._database, self._ask = settings, database, ask
        self._tools: _Tools | None = None
        self._is_off = False
        self._read_at: dict[str, float] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def look(self, served: Served, job: DueJob) -> Sought | None:
        """Look for what is similar to *job*. None: it cannot be compared, or not now."""
        tools = await self._opened()
        if tools is None or job.cache_similar is None:
            return None
        body = msgspec.json.decode(job.body)
        parts = split(served, job.model, body, embedder=tools.vectors.made_by, pool=job.pool)
        if parts is None:
            return None
        try:
            vector = await tools.vectors.vector(job, parts)
            if vector is None:
                return None
            await self._read(tools, parts.scope)
        except (DatabaseError, ServiceError):
            return None
        except Exception as error:  # noqa: BLE001  a function of the user's own raises anything
            _log.error("embedder failed", embedder=self._settings.embedder, error=_name(error))
            return None
        near = tools.neighbours.nearest(
            parts.scope, vector, most=_NEAREST + 1, least=job.cache_similar
        )
        alike = tuple(
            (other, Likeness(parts.scope, cosine, self._settings.embedder))
            for other, cosine in near
            if other != job.job_id
        )
        return Sought(alike[:_NEAREST], parts.scope, job.job_id, vector)

    def keep(self, sought: Sought) -> NewEntry:
        """Let this process find it from now on; return what makes others find it, too."""
        from promptmill.workers.similar.neighbours import encode  # noqa: PLC0415

        if self._tools is not None:
            self._tools.neighbours.add(sought.scope, sought.job_id, sought.vector)
        return NewEntry(sought.job_id, sought.scope, encode(sought.vector))

    async def close(self) -> None:
        """End what makes vectors."""
        if self._tools is not None:
            await self._tools.vectors.close()

    async def _opened(self) -> _Tools | None:
        if self._tools is None and not self._is_off:
            try:
                tools = await asyncio.to_thread(self._open)
            except (ImportError, SettingsError) as error:
                self._is_off = True
                hint = f"`{how_to_install('similar')}`, and see cache.embedder"
                _log.error("nothing is compared", error=_name(error), do=hint)
            else:
                self._tools = self._tools or tools  # another may have been first
        return self._tools

    def _open(self) -> _Tools:
        from promptmill.workers.similar.embedder import Embedder  # noqa: PLC0415
        from promptmill.workers.similar.neighbours import Neighbours  # noqa: PLC0415

        neighbours = Neighbours(most=self._settings.entries)
        if self._settings.asked is None or self._ask is None:
            return _Tools(_ByFunction(Embedder(self._settings.embedder)), neighbours)
        return _Tools(self._ask(), neighbours)

    async def _read(self, tools: _Tools, scope: str) -> None:
        """Read what others kept of *scope*, once for all who ask in the same moment."""
        under_way = self._reading.get(scope)
        if under_way is None:
            if monotonic() - self._read_at.get(scope, -_FRESH_S) < _FRESH_S:
                return
            under_way = asyncio.create_task(self._read_now(tools, scope))
            self._reading[scope] = under_way
            under_way.add_done_callback(lambda _: self._reading.pop(scope))
        await asyncio.shield(under_way)

    async def _read_now(self, tools: _Tools, scope: str) -> None:
        after = tools.neighbours.last_id(scope)
        if len(self._read_at) > self._settings.entries:
            self._read_at.clear()
        self._read_at[scope] = monotonic()
        tools.neighbours.read(scope, await asyncio.to_thread(self._newest, scope, after))

    def _newest(self, scope: str, after: int) -> Sequence[Entry]:
        with self._database.read() as connection:
            most = max(1, self._settings.entries // 2)
            return newest_entries(connection, scope, after=after, most=most)


def _name(error: Exception) -> str:
    """Name an error; its text may quote a prompt."""
    return type(error).__name__
