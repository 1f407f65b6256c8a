"""Takes jobs of the lane into provider batches, as many as the provider takes."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from promptmill.schema.bounds import Unbounded, most_micros
from promptmill.schema.database import Connection, Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves.laning import let_these_go, take
from promptmill.schema.moves.spending import BUDGET, Reservation
from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.prices import BATCH
from promptmill.schema.provider_batches import (
    LanedScope,
    ProviderBatch,
    close_up,
    fill,
    laned_jobs,
    laned_scopes,
    make_provider_batch,
    open_provider_batches,
)
from promptmill.schema.reading import DueJob
from promptmill.schema.requests import Endpoint, endpoint_of, native_of
from promptmill.schema.settings import LaneSettings, RetrySettings
from promptmill.workers.fitting import Unfit, fit
from promptmill.workers.lane.sharing import Sharing
from promptmill.workers.lane.stopping import is_key_stopped
from promptmill.workers.providers.base import Call
from promptmill.workers.providers.batches import BatchApi
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.served import Served

_PAGE: Final = 500
_FENCE_DIGITS: Final = 20
_DOUBLES_S: Final = 300.0
"""after which twice as much is tried as there was room for"""
_DOUBLINGS: Final = 32


@dataclass(slots=True)
class _Filling:
    """What is in a provider batch so far."""

    id: str
    scope: LanedScope
    tokens_left: float
    takes_any: bool
    """its first row may be larger than that, since it would never have more room"""
    endpoint: Endpoint | None = None
    jobs: int = 0
    bytes: int = 0
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    """A job as it goes in."""

    job: DueJob
    body: dict[str, Any]
    endpoint: Endpoint
    bytes: int
    tokens: int
    """of input, estimated"""


@dataclass(frozen=True, slots=True)
class _Page:
    """What of some jobs goes in, and what does not."""

    rows: list[_Row] = field(default_factory=list)
    unfit: list[int] = field(default_factory=list)
    """those that can only be asked live"""
    reservations: dict[int, Reservation] = field(default_factory=dict)
    unbounded: str | None = None
    """why the batch cannot go on: its budget could not be kept"""


@dataclass(frozen=True, slots=True)
class _Told:
    """That a provider had no room for more tokens of a model than these."""

    tokens: float
    at: float


class Filler:
    """Fills provider batches of one provider. *clock* is monotonic, in seconds."""

    def __init__(
        self,
        database: Database,
        served: Served,
        api: BatchApi,
        *,
        settings: LaneSettings,
        policy: RetrySettings,
        sharing: Sharing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._served, self._api, self._policy = database, served, api, policy
        self._sharing, self._clock = sharing, clock
        self._most_jobs = min(settings.jobs, api.most_jobs)
        self._most_bytes = min(settings.bytes, api.most_bytes)
        self._seen: dict[tuple[int, str], int] = {}
        self._told: dict[str, _Told] = {}
        """by the model"""

    async def fill(self) -> None:
        """Make one provider batch of each scope that has enough, or gets no more."""
        if is_key_stopped(self._database, self._served):
            return
        with self._database.read() as connection:
            scopes = laned_scopes(connection, self._served.name, most=self._most_jobs)
        seen, self._seen = self._seen, {(one.batch_id, one.model): one.jobs for one in scopes}
        for scope in scopes:
            is_settled = seen.get((scope.batch_id, scope.model)) == scope.jobs
            is_enough = scope.jobs >= self._most_jobs or is_settled
            if not is_enough or is_key_stopped(self._database, self._served, model=scope.model):
                continue
            waiting = self._waiting(scope.model)
            room = self._room(scope.model) - waiting
            if room > 0:
                takes_any = not waiting and scope.model not in self._told
                name = f"promptmill-{uuid.uuid4().hex}"
                await self._fill(_Filling(name, scope, room, takes_any))

    def is_refused_for_size(self, one: ProviderBatch) -> None:
        """Take in that the provider has no room for a provider batch beside the others there."""
        beside = self._waiting(one.model) - one.tokens
        self._told[one.model] = _Told(max(beside, one.tokens / 2, 1.0), self._clock())

    def _waiting(self, model: str) -> int:
        """Tell how many tokens of *model* we have at the provider."""
        with self._database.read() as connection:
            there = open_provider_batches(connection, provider=self._served.name)
        return sum(one.tokens for one in there if one.model == model)

    def _room(self, model: str) -> float:
        """Tell how many tokens of *model* may wait at the provider in all."""
        most = self._served.settings.batch_tokens or float("inf")
        told = self._told.get(model)
        if told is None:
            return most
        # What others of the account had waiting there may be done by now.
        doublings = min(_DOUBLINGS, (self._clock() - told.at) / _DOUBLES_S)
        room = told.tokens * 2**doublings
        if room >= most:
            del self._told[model]
        return min(most, room)

    async def _fill(self, filling: _Filling) -> None:
        after = 0
        while not filling.is_full:
            with self._database.read() as connection:
                jobs = laned_jobs(
                    connection,
                    batch_id=filling.scope.batch_id,
                    provider=self._served.name,
                    model=filling.scope.model,
                    after=after,
                    most=_PAGE,
                )
            if not jobs:
                break
            after = jobs[-1].job_id
            spared = await self._sharing.spare(jobs)
            left = [job for job in jobs if job.job_id not in spared]
            self._put_in(filling, await self._chosen(filling, left))
            await asyncio.sleep(0)  # the beat of who leads comes between
        if filling.jobs:
            with self._database.write() as connection:
                close_up(connection, filling.id)

    async def _chosen(self, filling: _Filling, jobs: Sequence[DueJob]) -> _Page:
        page = _Page()
        for job in jobs:
            row = await self._row(job)
            if row is None:
                page.unfit.append(job.job_id)
                continue
            filling.endpoint = filling.endpoint or row.endpoint
            if row.endpoint is not filling.endpoint:
                continue  # for the next one
            if self._is_full(filling, row):
                filling.is_full = True
                break
            if job.has_budget:
                terms = replace(self._served.terms(job.model), service_tier=BATCH)
                most = most_micros(terms, row.body, job.body)
                if isinstance(most, Unbounded):
                    filling.is_full = True
                    return replace(page, unbounded=most.problem)
                page.reservations[job.job_id] = Reservation(job.batch_id, most)
            page.rows.append(row)
            filling.jobs += 1
            filling.bytes += row.bytes
            filling.tokens_left -= row.tokens
        return page

    async def _row(self, job: DueJob) -> _Row | None:
        """Look at a job as a row; None: it can only be asked live, or be refused there."""
        fitted = await fit(self._served, job, learned=1.0)
        if isinstance(fitted, Unfit) or fitted.cut_tokens:
            return None
        endpoint = endpoint_of(fitted.body)
        is_background = (native_of(fitted.body) or {}).get("background") is True
        if is_background or endpoint not in self._api.endpoints:
            return None
        if job.age_s > self._policy.max_age_s:
            return None
        name = f"{job.batch_id}-{job.job_id}-{'0' * _FENCE_DIGITS}"
        try:
            line = self._api.line(Call(job.model, fitted.body, name, 0.0, endpoint))
        except UnsendableError:
            return None
        size = len(line) + 1
        if size > self._most_bytes:
            return None
        return _Row(job, fitted.body, endpoint, size, fitted.expected.input_tokens)

    def _is_full(self, filling: _Filling, row: _Row) -> bool:
        if not filling.jobs and filling.takes_any:
            return False
        return (
            filling.jobs >= self._most_jobs
            or filling.bytes + row.bytes > self._most_bytes
            or filling.tokens_left < row.tokens
        )

    def _put_in(self, filling: _Filling, page: _Page) -> None:
        """Claim the chosen jobs, with their intents, in one transaction."""
        before = filling.jobs - len(page.rows)
        with self._database.write() as connection:
            if before and not fill(connection, filling.id, jobs=0, tokens=0):
                filling.jobs, filling.is_full = before, True  # another leads, and closed it
                return
            if page.unfit:
                let_these_go(connection, page.unfit)
            fences = self._take(connection, filling, page)
            if fences:
                if not before:
                    self._make(connection, filling)
                tokens = sum(row.tokens for row in page.rows if row.job.job_id in fences)
                fill(connection, filling.id, jobs=len(fences), tokens=tokens)
            if page.unbounded is not None:
                reason = f"{BUDGET}: {page.unbounded}"
                pause_batch(connection, filling.scope.batch_id, reason)
        filling.jobs = before + len(fences)
        if len(fences) < len(page.rows):
            filling.is_full = True  # paused meanwhile, or its budget has no room for more

    def _take(self, connection: Connection, filling: _Filling, page: _Page) -> dict[int, int]:
        if not page.rows:
            return {}
        fingerprint = self._served.fingerprint
        jobs = [row.job for row in page.rows]
        claims = [(Hint(job.job_id, job.dispatch_no), fingerprint) for job in jobs]
        return take(connection, claims, provider_batch=filling.id, reservations=page.reservations)

    def _make(self, connection: Connection, filling: _Filling) -> None:
        make_provider_batch(
            connection,
            filling.id,
            batch_id=filling.scope.batch_id,
            provider=self._served.name,
            model=filling.scope.model,
            endpoint=filling.endpoint or Endpoint.CHAT,
            fingerprint=self._served.fingerprint,
        )
