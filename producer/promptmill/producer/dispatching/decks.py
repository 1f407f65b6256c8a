"""What there is to deal of each pool, and whom of its members it can be dealt to.

A job of a pool is nobody's until its hint is about to be published: then whoever is dealt it has
room for it. So a member that is paused, slow or away holds up what is in its queue at most.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol, Self

from promptmill.producer.dispatching.booked_out import BookedOut
from promptmill.producer.dispatching.dealing import Dealer, Hand
from promptmill.producer.dispatching.depth import SOON_S, Pace, concurrency_of
from promptmill.schema.backlog import BatchBacklog, Scope
from promptmill.schema.live_limits import LiveLimit
from promptmill.schema.pauses import Pause
from promptmill.schema.presence import WorkerSeen
from promptmill.schema.settings import Settings

MOST = 1000
"""dealt of a pool in one look"""
Backlogs = Mapping[Scope, Sequence[BatchBacklog]]


class DueOf(Protocol):
    """What counts the retries of a scope whose time has come, up to *most*."""

    def __call__(self, scope: Scope, *, most: int) -> int:
        """Look in SQL."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """What one member could take of the jobs of pools."""

    due: int
    """retries whose time has come"""
    pending: Mapping[int, int]
    """by batch, in the order in which they go"""


@dataclass(frozen=True, slots=True)
class Stock:
    """What a member has in its queue, and how fast it starts it."""

    queued: int
    room: int
    """of its queue"""
    pace: Pace

    @property
    def is_full(self) -> bool:
        """Whether its limits let no more start within a second than what it has queued."""
        return self.queued > self.pace.let_through(1.0)

    @property
    def late(self) -> int:
        """How much of that it does not start soon, while a limit holds it back."""
        return max(0, self.queued - self.pace.soon_at_limit)

    @property
    def room_soon(self) -> int:
        """How much more it would start soon."""
        return max(0, min(self.room, self.pace.soon - self.queued))


@dataclass(frozen=True, slots=True)
class Dealt:
    """What a member gets."""

    member: Scope
    due: int
    pending: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Return:
    """Queued jobs of a pool that a member is to give back."""

    pool: str
    member: Scope
    most: int


@dataclass(frozen=True, slots=True)
class Deck:
    """The jobs of one pool and model."""

    scope: Scope
    batches: Sequence[BatchBacklog]
    due: int
    """retries whose time has come"""
    weights: Mapping[Scope, float]
    """of the members that some worker can call now"""
    booked_out: frozenset[Scope]
    """of these, the ones whose limits let nothing more start at once"""
    unable: tuple[Scope, ...]
    """the others"""
    taken: frozenset[Scope] = frozenset()
    """of those that are full, the ones that have nothing of the pool: they hold up nobody"""

    @property
    def jobs(self) -> int:
        """How many may be dealt."""
        return self.due + sum(batch.ready for batch in self.batches)

    @property
    def members(self) -> tuple[Scope, ...]:
        """All of them."""
        return (*self.weights, *self.unable)

    def with_full(self, stocks: Mapping[Scope, Stock]) -> Self:
        """Count those as booked out that have as much queued as their limits let through."""
        full = {one for one in self.weights if stocks[one].is_full}
        return replace(self, booked_out=self.booked_out | full)

    def full(self, places: Mapping[Scope, Place]) -> list[Scope]:
        """List the members that have no place for any job of the pool."""
        return [one for one in self.weights if one in places and not self._room(places[one])]

    def dealt(self, dealer: Dealer, places: Mapping[Scope, Place]) -> Iterator[Dealt]:
        """Deal up to `MOST` jobs to who has a place."""
        left, due = {batch.batch_id: batch.ready for batch in self.batches}, self.due
        hands = [
            Hand(member.provider, weight, self._room(places[member]), member in self.booked_out)
            for member, weight in self.weights.items()
            if member in places and member not in self.taken
        ]
        for name, count in dealer.deal(min(self.jobs, MOST), hands).items():
            member = Scope(name, self.scope.model)
            retries = min(due, count, places[member].due)
            due -= retries
            pending = _taken(left, places[member].pending, count - retries)
            yield Dealt(member, retries, pending)

    def returns(self, dealer: Dealer, stocks: Mapping[Scope, Stock]) -> Iterator[Return]:
        """Say what members are to give back, since others would start it earlier.

        That is all that is queued at one that nobody can call; and where nothing is left to be
        dealt, what one that is booked out does not start soon, as far as others do. And under the
        pool's own name there is no queue.
        """
        astray = sum(batch.queued for batch in self.batches)
        if astray:
            yield Return(self.scope.provider, self.scope, astray)
        for member in self.unable if self.weights else ():
            if stocks[member].queued:
                yield Return(self.scope.provider, member, stocks[member].queued)
        if not self.jobs:
            yield from self._late(dealer, stocks)

    def _late(self, dealer: Dealer, stocks: Mapping[Scope, Stock]) -> Iterator[Return]:
        late = {one: stocks[one].late for one in sorted(self.booked_out) if stocks[one].late}
        if not late:
            return
        hands = [
            Hand(one.provider, weight, stocks[one].room_soon)
            for one, weight in self.weights.items()
            if one not in self.booked_out
        ]
        free = dealer.taken_in_turn(min(sum(late.values()), MOST), hands)
        for member, jobs in late.items():
            most = min(free, jobs)
            if most:
                free -= most
                yield Return(self.scope.provider, member, most)

    def _room(self, place: Place) -> int:
        ready = {batch.batch_id: batch.ready for batch in self.batches}
        pending = (min(n, ready.get(batch, 0)) for batch, n in place.pending.items())
        return min(self.due, place.due) + sum(pending)


class Decks:
    """Tells what is to be dealt. For one thread; *clock* is monotonic, in seconds."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._booked_out = BookedOut(settings, clock=clock)
        self._dealers: defaultdict[Scope, Dealer] = defaultdict(Dealer)
        self._spared: dict[Scope, float] = {}
        """until when: they have just given back what they could not start"""

    def deal(self, deck: Deck, places: Mapping[Scope, Place]) -> Iterator[Dealt]:
        """Deal of a pool and model, by what its members have had."""
        return deck.dealt(self._dealers[deck.scope], places)

    def returns(self, deck: Deck, stocks: Mapping[Scope, Stock]) -> Iterator[Return]:
        """Say what its members are to give back; who is late is not dealt it at once again."""
        for one in deck.returns(self._dealers[deck.scope], stocks):
            if one.member in deck.booked_out:
                self._spared[one.member] = self._clock() + SOON_S
            yield one

    def look(
        self,
        scopes: Backlogs,
        workers: Sequence[WorkerSeen],
        pauses: Sequence[Pause],
        live: Sequence[LiveLimit],
        due_of: DueOf,
    ) -> list[Deck]:
        """List the pools that have anything to be dealt, or at a member. Few have any."""
        decks = [
            self._deck(scope, scopes, workers, pauses, due_of) for scope in self._scopes(scopes)
        ]
        members = {member for deck in decks for member in deck.weights}
        out = self._booked_out.among(members, workers, live) if members else set()
        self._spared = {one: until for one, until in self._spared.items() if until > self._clock()}
        out |= self._spared.keys()
        return [replace(deck, booked_out=frozenset(out & deck.weights.keys())) for deck in decks]

    def close(self) -> None:
        """Close all connections."""
        self._booked_out.close()

    def _scopes(self, scopes: Backlogs) -> list[Scope]:
        found = set()
        for name, pool in self._settings.pools.items():
            whose = {name, *pool.members}
            found |= {Scope(name, scope.model) for scope in scopes if scope.provider in whose}
        return sorted(found)

    def _deck(
        self,
        scope: Scope,
        scopes: Backlogs,
        workers: Sequence[WorkerSeen],
        pauses: Sequence[Pause],
        due_of: DueOf,
    ) -> Deck:
        batches = scopes.get(scope, ())
        waits = any(batch.waiting for batch in batches)
        weights = {
            Scope(name, scope.model): weight
            for name, weight in self._settings.pools[scope.provider].members.items()
        }
        able = {
            member: weight
            for member, weight in weights.items()
            if concurrency_of(member, workers, pauses, ceiling=1)
        }
        return Deck(
            scope=scope,
            batches=batches,
            due=due_of(scope, most=MOST) if waits and able else 0,
            weights=able,
            booked_out=frozenset(),
            unable=tuple(member for member in weights if member not in able),
        )


def with_pools(
    scope: Scope, batches: Sequence[BatchBacklog], decks: Sequence[Deck]
) -> Sequence[BatchBacklog]:
    """Add to what is left to do at *scope* what it could be dealt: both share its queue."""
    if not decks:
        return batches
    found = {one.batch_id: replace(one, pending=one.ready, live=None) for one in batches}
    for one in chain.from_iterable(deck.batches for deck in decks):
        new = replace(one, scope=scope, pending=0, queued=0, running=0, waiting=0, live=None)
        known = found.get(one.batch_id, new)
        found[one.batch_id] = replace(known, pending=known.pending + one.ready)
    return list(found.values())


def without_pools(
    shares: Mapping[int, int], batches: Sequence[BatchBacklog]
) -> tuple[dict[int, int], dict[int, int]]:
    """Take *shares* apart again: what is a scope's own, and what it could be dealt."""
    ready = {one.batch_id: one.ready for one in batches}
    own = {batch: min(count, ready.get(batch, 0)) for batch, count in shares.items()}
    return own, {batch: count - own[batch] for batch, count in shares.items()}


def _taken(left: dict[int, int], wanted: Mapping[int, int], most: int) -> dict[int, int]:
    """Take up to *most* jobs out of what is *left* of the batches, in the order of *wanted*."""
    taken: dict[int, int] = {}
    for batch, count in wanted.items():
        number = min(count, left.get(batch, 0), most)
        if number > 0:
            taken[batch] = number
            left[batch] -= number
            most -= number
    return taken
