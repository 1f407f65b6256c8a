"""Put pending jobs into the lane, and let them leave it when their deadline comes near.

The dispatcher chooses, since it knows what waits and what the live limits carry. A job that it does
not set aside it hints like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from promptmill.producer.dispatching.lane_choice import Outlook, is_to_leave, live_jobs
from promptmill.schema.backlog import BatchBacklog, Scope
from promptmill.schema.ceilings import limits_of
from promptmill.schema.database import Connection, Database
from promptmill.schema.lanes import LaneTerms
from promptmill.schema.live_limits import LiveLimit, live_ceilings
from promptmill.schema.moves.laning import let_go, set_aside
from promptmill.schema.prices import BATCH, price_list_of
from promptmill.schema.provider_batches import lane_terms, recall
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
_CHUNK = 1000
"""jobs moved in one transaction: some 20 ms of SQLite's only writer"""
_CHUNKS = 20
"""for a round: the rest of a large batch waits for the next one"""
_SECONDS = {"rpm": 60.0, "rpd": 86_400.0}


@dataclass(frozen=True, slots=True)
class _Aside:
    """Jobs that go into the lane."""

    batch_id: int
    scope: Scope
    jobs: int


class LaneSorter:
    """Sorts pending jobs by lane. For one thread."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._aside: list[_Aside] = []
        self._leaving: set[int] = set()
        self._left: set[int] = set()

    def sort(
        self,
        connection: Connection,
        backlog: Sequence[BatchBacklog],
        limits: Sequence[LiveLimit],
    ) -> Sequence[BatchBacklog]:
        """Tell of each batch how many pending jobs may be hinted; `turn` moves the others."""
        self._aside, self._leaving = [], set()
        terms = lane_terms(connection)
        if not terms:
            return backlog
        return [
            self._sorted(one, terms[one.batch_id], limits) if one.batch_id in terms else one
            for one in backlog
        ]

    def turn(self) -> None:
        """Move what `sort` has chosen, a part of it at a time."""
        for aside in self._aside:
            self._set_aside(aside)
        self._left &= self._leaving  # one that got another deadline may have to leave again
        for batch_id in self._leaving - self._left:
            self._leave(batch_id)

    def _sorted(
        self, one: BatchBacklog, terms: LaneTerms, limits: Sequence[LiveLimit]
    ) -> BatchBacklog:
        provider = self._settings.providers.get(one.scope.provider)
        if provider is None or not provider.has_batch_api:
            return one
        lane = self._settings.lane
        outlook = self._outlook(one, limits)
        if is_to_leave(terms, outlook, margin_s=lane.margin_s):
            self._leaving.add(one.batch_id)
        live = live_jobs(terms, outlook, window_s=lane.window_s, margin_s=lane.margin_s)
        if live < one.pending:
            self._aside.append(_Aside(one.batch_id, one.scope, one.pending - live))
        return replace(one, live=live)

    def _outlook(self, one: BatchBacklog, limits: Sequence[LiveLimit]) -> Outlook:
        name, model = one.scope
        provider = self._settings.providers[name]
        held = limits_of(provider, model, live_ceilings(limits, name))
        rates = [
            ceilings[dimension] / seconds
            for ceilings in (held.limits, held.shared)
            for dimension, seconds in _SECONDS.items()
            if dimension in ceilings
        ]
        prices = price_list_of(name, provider)
        usual, half = prices.tariff_now(model), prices.tariff_now(model, BATCH)
        return Outlook(
            pending=one.pending,
            left=one.pending + one.queued + one.running + one.waiting,
            rate=min(rates, default=None),
            saves=usual is None or half != usual,
        )

    def _set_aside(self, aside: _Aside) -> None:
        left = aside.jobs
        for _ in range(_CHUNKS):
            with self._database.write() as connection:
                moved = set_aside(
                    connection,
                    batch_id=aside.batch_id,
                    **aside.scope._asdict(),
                    most=min(left, _CHUNK),
                )
            left -= moved
            if not moved or not left:
                break

    def _leave(self, batch_id: int) -> None:
        """Let what is in the lane be asked live, and call back what is at the provider."""
        with self._database.write() as connection:
            recalled = recall(connection, batch_id)
            moved = let_go(connection, batch_id, most=_CHUNK)
        if recalled or moved:
            _log.warning("leaves the lane", batch=batch_id, jobs=moved, recalled=recalled)
        if moved < _CHUNK:
            self._left.add(batch_id)
