"""Put pending jobs into the lane, and let them leave it when their deadline comes near.

The dispatcher chooses, since it knows what waits and what the live limits carry. A job that it does
not set aside it hints like any other. Where a part of a batch goes live, its rows are sorted once
before any of them is hinted (`lane_sieve`).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import structlog

from promptmill.producer.dispatching.lane_choice import Outlook, is_to_leave, live_jobs
from promptmill.producer.dispatching.lane_load import Loads, Sample, counts_tokens, rate_carried
from promptmill.producer.dispatching.lane_sieve import ENOUGH, Sieve, make_sieve
from promptmill.schema.backlog import BatchBacklog, Scope, pending_rows
from promptmill.schema.ceilings import ModelLimits, limits_of
from promptmill.schema.database import Connection, Database
from promptmill.schema.lanes import LaneTerms
from promptmill.schema.live_limits import LiveLimit, live_ceilings
from promptmill.schema.moves.laning import let_go, set_aside, set_these_aside
from promptmill.schema.prices import BATCH, price_list_of
from promptmill.schema.provider_batches import lane_terms, recall
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
_CHUNK = 1000
"""jobs moved in one transaction: some 20 ms of SQLite's only writer"""
_CHUNKS = 20
"""for a round: the rest of a large batch waits for the next one"""
_SIFTED_CHUNKS = 5
"""the same, where each row is looked at: 13 us of CPU for one of 500 characters"""


@dataclass(frozen=True, slots=True)
class _Aside:
    """Jobs that go into the lane."""

    batch_id: int
    scope: Scope
    jobs: int


class _Ahead:
    """What is asked live by the same limits: *live* first, and then what is counted."""

    def __init__(self, live: Iterable[BatchBacklog]) -> None:
        self.jobs: Counter[Scope] = Counter()
        self.batches: Counter[Scope] = Counter()
        for one in live:
            self.count(one.scope, one.left)

    def count(self, scope: Scope, jobs: int) -> None:
        """Count the jobs of another batch."""
        if jobs:
            self.jobs[scope] += jobs
            self.batches[scope] += 1


class LaneSorter:
    """Sorts pending jobs by lane. For one thread; *clock* is monotonic, in seconds."""

    def __init__(
        self, settings: Settings, database: Database, *, clock: Callable[[], float]
    ) -> None:
        self._settings, self._database = settings, database
        self._loads = Loads(clock=clock)
        self._sieves: dict[tuple[int, Scope], Sieve] = {}
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
        laned = [one for one in backlog if one.batch_id in terms and self._has_lane(one.scope)]
        laned.sort(key=lambda one: _left_s(terms[one.batch_id]))
        kept = {(one.batch_id, one.scope): one for one in backlog}
        sorted_here = {(one.batch_id, one.scope) for one in laned}
        self._loads.keep(sorted_here)
        self._sieves = {key: one for key, one in self._sieves.items() if key in sorted_here}
        ahead = _Ahead(one for one in backlog if (one.batch_id, one.scope) not in sorted_here)
        for one in laned:
            told = terms[one.batch_id]
            held = self._limits_of(one.scope, limits)
            sample = self._sample(connection, one, held) if told.left_s is not None else None
            outlook = self._outlook(one, sample, held, ahead=ahead)
            kept[one.batch_id, one.scope] = self._sorted(one, told, outlook, sample)
            ahead.count(one.scope, kept[one.batch_id, one.scope].ready)
        return list(kept.values())

    def turn(self) -> None:
        """Move what `sort` has chosen, a part of it at a time."""
        for sieve in self._sieves.values():
            if not sieve.is_done:
                self._sift(sieve)
            if sieve.is_done and sieve.excess:  # the sample was not quite like them, or all alike
                aside = _Aside(sieve.batch_id, sieve.scope, sieve.excess)
                sieve.excess = self._set_aside(aside)
        for aside in self._aside:
            self._set_aside(aside)
        self._left &= self._leaving  # one that got another deadline may have to leave again
        for batch_id in self._leaving - self._left:
            self._leave(batch_id)

    def _has_lane(self, scope: Scope) -> bool:
        provider = self._settings.providers.get(scope.provider)
        return provider is not None and provider.has_batch_api

    def _sorted(
        self, one: BatchBacklog, terms: LaneTerms, outlook: Outlook, sample: Sample | None
    ) -> BatchBacklog:
        lane = self._settings.lane
        if is_to_leave(terms, outlook, margin_s=lane.margin_s):
            self._leaving.add(one.batch_id)
        live = live_jobs(terms, outlook, window_s=lane.window_s, margin_s=lane.margin_s)
        key = one.batch_id, one.scope
        sieve = self._sieves.get(key)
        if sample is None or not 0 < live < one.pending:
            if sieve is not None and not (live and sieve.is_done):
                del self._sieves[key]
            if live < one.pending:
                self._aside.append(_Aside(one.batch_id, one.scope, one.pending - live))
            return replace(one, live=live)
        is_done = sieve is not None and sieve.is_done and not sieve.excess
        if sieve is None or (is_done and live < ENOUGH * one.pending):
            self._sieves[key] = make_sieve(*key, sample, pending=one.pending, live=live)
            return replace(one, live=0)
        return replace(one, live=one.pending if is_done else live)

    def _limits_of(self, scope: Scope, live: Sequence[LiveLimit]) -> ModelLimits:
        provider = self._settings.providers[scope.provider]
        return limits_of(provider, scope.model, live_ceilings(live, scope.provider))

    def _sample(
        self, connection: Connection, one: BatchBacklog, held: ModelLimits
    ) -> Sample | None:
        """Take some of its rows, where a limit is known."""
        name, model = one.scope
        provider = self._settings.providers[name]
        if not (held.limits or held.shared):
            return None
        return self._loads.of(
            connection,
            one,
            kind=provider.kind,
            tariff=price_list_of(name, provider).tariff_now(model),
            exact=counts_tokens(held),
        )

    def _outlook(
        self, one: BatchBacklog, sample: Sample | None, held: ModelLimits, *, ahead: _Ahead
    ) -> Outlook:
        name, model = one.scope
        provider = self._settings.providers[name]
        usual = sample.usual(one) if sample else None
        parts = sample.cheapest if sample else ()
        rates = (rate_carried(held, provider.kind, part) for part in parts)
        prices = price_list_of(name, provider)
        price, half = prices.tariff_now(model), prices.tariff_now(model, BATCH)
        return Outlook(
            pending=one.pending,
            left=one.left,
            rate=rate_carried(held, provider.kind, usual),
            rates=tuple(rate for rate in rates if rate is not None),
            saves=price is None or (half is not None and half.is_below(price)),
            ahead=ahead.jobs[one.scope],
            others=ahead.batches[one.scope],
        )

    def _sift(self, sieve: Sieve) -> None:
        """Look at the next rows, and move the dear ones."""
        for _ in range(_SIFTED_CHUNKS):
            with self._database.read() as connection:
                rows = pending_rows(
                    connection, sieve.batch_id, sieve.scope, after=sieve.after, most=_CHUNK
                )
            dear = sieve.dear(rows)
            if dear:
                with self._database.write() as connection:
                    set_these_aside(connection, dear)
            if len(rows) < _CHUNK or not sieve.excess:
                sieve.is_done = True
                self._loads.renew(sieve.batch_id, sieve.scope)
                break

    def _set_aside(self, aside: _Aside) -> int:
        """Move the last ones; return how many are left for the next round."""
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
                return 0
        return left

    def _leave(self, batch_id: int) -> None:
        """Let what is in the lane be asked live, and call back what is at the provider."""
        with self._database.write() as connection:
            recalled = recall(connection, batch_id)
            moved = let_go(connection, batch_id, most=_CHUNK)
        if recalled or moved:
            _log.warning("leaves the lane", batch=batch_id, jobs=moved, recalled=recalled)
        if moved < _CHUNK:
            self._left.add(batch_id)


def _left_s(terms: LaneTerms) -> float:
    return math.inf if terms.left_s is None else terms.left_s
