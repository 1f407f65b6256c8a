"""Move due jobs to queued and publish their hints, so that each scope's queue is deep enough.

The move is committed first: a hint that is never published is found by the sweep, while one
published before its move would be dropped as stale.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from promptmill.producer.dispatching.broker import BrokerLostError, HintSender
from promptmill.producer.dispatching.decks import (
    MOST,
    Deck,
    Decks,
    Place,
    Return,
    Stock,
    with_pools,
    without_pools,
)
from promptmill.producer.dispatching.depth import (
    Pace,
    StartRates,
    concurrency_of,
    is_known,
    is_paused,
    keys_of,
    member_depth,
    request_limit,
    share_depth,
    target_depth,
)
from promptmill.producer.dispatching.fairness import allot
from promptmill.producer.dispatching.lanes import LaneSorter
from promptmill.producer.outage import Outage
from promptmill.schema.backlog import BatchBacklog, Scope, backlog, due_waiting, started_jobs
from promptmill.schema.broker import step_of
from promptmill.schema.ceilings import limits_of
from promptmill.schema.database import Database
from promptmill.schema.live_limits import LiveLimit, live_ceilings, read_limits
from promptmill.schema.moves.queueing import (
    Queued,
    give_back,
    has_dealt,
    queue_pending,
    queue_waiting,
    unqueue,
)
from promptmill.schema.pauses import Pause, pauses_now
from promptmill.schema.presence import WorkerSeen, live_workers
from promptmill.schema.settings import Settings

_log = structlog.get_logger(__name__)
_CHUNK = 1000
"""jobs moved in one transaction: some 20 ms of SQLite's only writer"""


@dataclass(frozen=True, slots=True)
class Fed:
    """What one round came to."""

    hints: int = 0
    more: bool = False
    """there was room for more than one transaction holds: go on at once"""


@dataclass(frozen=True, slots=True)
class _Order:
    """What to queue of one scope."""

    scope: Scope
    waiting: int
    pending: Mapping[int, int]
    """batch to number of jobs"""
    to: str
    """the provider whose queue it is: of a pool, the member that is dealt to"""


class Feeder:
    """Feeds the queues. For one thread; *clock* is monotonic, in seconds."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sender: HintSender,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._database, self._sender = settings, database, sender
        self._clock = clock
        self._rates = StartRates(over_s=settings.dispatch.depth_s / 2)
        self._redis = Outage("redis", clock=clock)
        self._live: Sequence[LiveLimit] = ()
        self.lanes = LaneSorter(settings, database, clock=clock)
        """what keeps jobs from being hinted that go another way"""
        self._decks = Decks(settings, clock=clock)
        self._returns: Sequence[Return] = ()
        self.left: Sequence[BatchBacklog] = ()
        """what was left to do at the last look"""

    def feed(self) -> Fed:
        """Look once at what is due, and hint as much of it as there is room for."""
        orders = self._orders()
        self._take_back()
        if not orders or self._redis.rests:
            return Fed()
        try:
            # Asked first, or each round of an outage would move rows there and back.
            self._sender.ping()
            hints = sum(self._fill(order) for order in orders)
        except BrokerLostError as lost:
            self._redis.goes_on(lost)
            return Fed()
        self._redis.is_over()
        dealt = sum(_size(order) for order in orders if order.to != order.scope.provider)
        return Fed(hints, more=dealt >= MOST or any(_size(order) > _CHUNK for order in orders))

    def close(self) -> None:
        """Close what it opened."""
        self._decks.close()

    def _orders(self) -> list[_Order]:
        with self._database.read() as connection:
            self._live = read_limits(connection)
            self.left = self.lanes.sort(connection, backlog(connection), self._live)
            self._rates.observe(self._clock(), started_jobs(connection))
            workers, pauses = live_workers(connection), pauses_now(connection)
            due_of = partial(due_waiting, connection)
            scopes = _by_scope(self.left)
            decks = self._decks.look(scopes, workers, pauses, self._live, due_of)
            members = {one for deck in decks for one in deck.weights}
            paces = {
                one: self._pace(one, scopes.get(one, ()), workers, pauses)
                for one in (*scopes, *sorted(members - set(scopes)))
            }
            orders, rooms, places = [], {}, {}
            for scope, target in self._targets(paces, members, workers, pauses).items():
                batches = scopes.get(scope, [])
                room = rooms[scope] = target - _queued(batches)
                waiting = 0
                if room > 0 and any(batch.waiting for batch in batches):
                    waiting = due_of(scope, most=room)
                ours = [deck for deck in decks if scope in deck.weights]
                due = max(0, min(room - waiting, sum(deck.due for deck in ours)))
                shares = allot(target - waiting - due, with_pools(scope, batches, ours))
                own, dealt = without_pools(shares, batches) if ours else (shares, {})
                orders.append(_Order(scope, waiting, own, scope.provider))
                places[scope] = Place(due, dealt)
            stocks = {
                one: Stock(_queued(scopes.get(one, ())), rooms.get(one, 0), paces.get(one, Pace()))
                for deck in decks
                for one in deck.members
            }
            has = partial(has_dealt, connection)
            decks = [_with_taken(deck.with_full(stocks), places, has) for deck in decks]
            late = [one for deck in decks for one in self._decks.returns(deck, stocks)]
            # Read first: a member may have much queued, and nothing of the pool.
            self._returns = [one for one in late if has(**one.member._asdict(), pool=one.pool)]
        orders += [order for deck in decks for order in self._dealt(deck, places)]
        return [order for order in orders if _size(order)]

    def _targets(
        self,
        paces: Mapping[Scope, Pace],
        members: Collection[Scope],
        workers: Sequence[WorkerSeen],
        pauses: Sequence[Pause],
    ) -> dict[Scope, int]:
        """Say how deep the queues should be; a pool has none, nor has what nobody knows."""
        dispatch = self._settings.dispatch
        wanted = {
            scope: (member_depth if scope in members else target_depth)(pace, dispatch)
            for scope, pace in paces.items()
            if scope.provider not in self._settings.pools
            and is_known(scope.provider, self._settings, workers)
            and not is_paused(scope, workers, pauses)
        }
        return share_depth(wanted, dispatch)

    def _dealt(self, deck: Deck, places: Mapping[Scope, Place]) -> Iterator[_Order]:
        for dealt in self._decks.deal(deck, places):
            yield _Order(deck.scope, dealt.due, dealt.pending, dealt.member.provider)

    def _take_back(self) -> None:
        """Give to their pools what members would start late, or never; it is dealt anew."""
        for one in self._returns:
            with self._database.write() as connection:
                jobs = give_back(
                    connection, **one.member._asdict(), pool=one.pool, most=min(one.most, _CHUNK)
                )
            if jobs:
                _log.info("given back", jobs=jobs, pool=one.pool, **one.member._asdict())

    def _pace(
        self,
        scope: Scope,
        batches: Sequence[BatchBacklog],
        workers: Sequence[WorkerSeen],
        pauses: Sequence[Pause],
    ) -> Pace:
        pace = Pace(rate=self._rates.of(scope), running=sum(batch.running for batch in batches))
        ceiling = self._settings.dispatch.depth_max
        provider = self._settings.providers.get(scope.provider)
        if provider:
            limits = limits_of(provider, scope.model, live_ceilings(self._live, scope.provider))
            ceiling = limits.concurrency
            limit = request_limit(limits, keys=len(keys_of(scope.provider, workers)))
            pace = replace(pace, limit=limit, burst_s=limits.burst_s)
        concurrency = concurrency_of(scope, workers, pauses, ceiling=ceiling)
        if not concurrency:
            return replace(pace, rate=0.0)
        scopes = {batch.scope for batch in self.left if batch.scope.provider == scope.provider}
        return replace(pace, places=concurrency / max(1, len(scopes)))

    def _fill(self, order: _Order) -> int:
        """Move at most a chunk of one scope, then publish it; put it back where that fails."""
        moved = self._move_waiting(order) + self._move_pending(order)
        # A retry's batch may have been opened since the look: bulk, until the next one.
        priorities = {batch.batch_id: batch.priority for batch in self.left}
        ranked = [(priorities.get(job.batch_id, 0), job) for job in moved]
        ranked.sort(key=lambda pair: -pair[0])
        try:
            self._sender.publish([(job, step_of(priority)) for priority, job in ranked])
        except BrokerLostError:
            with self._database.write() as connection:
                back = unqueue(connection, [job.hint for job in moved])
            _log.info("put back", jobs=len(back), **order.scope._asdict())
            raise
        return len(moved)

    def _move_waiting(self, order: _Order) -> list[Queued]:
        if not order.waiting:
            return []
        with self._database.write() as connection:
            return queue_waiting(
                connection,
                **order.scope._asdict(),
                most=min(order.waiting, _CHUNK),
                to=order.to,
            )

    def _move_pending(self, order: _Order) -> list[Queued]:
        """Move the chosen jobs, the oldest batch first: workers lock the counters in that order."""
        moved: list[Queued] = []
        if not order.pending:
            return moved
        with self._database.write() as connection:
            for batch_id, most in sorted(_cut(order.pending, _CHUNK).items()):
                moved += queue_pending(
                    connection,
                    batch_id=batch_id,
                    **order.scope._asdict(),
                    most=most,
                    to=order.to,
                )
        return moved


def _queued(batches: Iterable[BatchBacklog]) -> int:
    return sum(batch.queued for batch in batches)


def _by_scope(left: Sequence[BatchBacklog]) -> dict[Scope, list[BatchBacklog]]:
    scopes = defaultdict(list)
    for batch in left:
        scopes[batch.scope].append(batch)
    return scopes


def _with_taken(deck: Deck, places: Mapping[Scope, Place], has: Callable[..., bool]) -> Deck:
    """Tell *deck* whose queue is full of others' work."""
    pool = deck.scope.provider
    full = deck.full(places) if deck.jobs else []
    taken = (one for one in full if not has(**one._asdict(), pool=pool))
    return replace(deck, taken=frozenset(taken))


def _cut(shares: Mapping[int, int], most: int) -> dict[int, int]:
    """Keep of the shares, in their order, as many as make up *most*."""
    kept: dict[int, int] = {}
    for batch_id, share in shares.items():
        if most > 0:
            kept[batch_id] = min(share, most)
            most -= share
    return kept


def _size(order: _Order) -> int:
    return order.waiting + sum(order.pending.values())
