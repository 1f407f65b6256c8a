"""Permits: book a start, confirm it, send, settle. One object a worker process."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from redis.asyncio import Redis

from promptmill.schema.limit_level import Standing
from promptmill.schema.limit_state import account_prefix
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.desk import Desk, Seeder
from promptmill.workers.limits.ledger import Ledger
from promptmill.workers.limits.limit import Booked, Estimate, Postponed, Scope, Seed, TooLarge
from promptmill.workers.limits.server_clock import ServerClock
from promptmill.workers.limits.store import Store
from promptmill.workers.limits.wakes import PLACE_FREE, Wakes, escape

LEASE_S = 30.0
"""A worker that does not renew for this long is dead, and its calls in flight are forgotten."""
WARN_AGAIN_S = 3600.0

log = structlog.get_logger(__name__)

Key = tuple[str, str, str, str]


async def _nothing_known(_scope: Scope) -> Seed:
    return Seed()


class Permits:
    """The shared limiter, as one worker process sees it.

    Everything is decided in Redis, by its clock. When Redis does not answer nothing goes out:
    `book` waits on, up to its patience, and `confirm` says no.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        kinds: Mapping[str, ProviderKind],
        lease_s: float = LEASE_S,
        seed: Seeder = _nothing_known,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Use *redis* (see `connection.connect`; the caller closes it) under keys with *prefix*.

        *kinds* says how each provider charges; *seed* tells an empty store what was used today and
        what answers were like. *clock*, in microseconds since 2025-01-01, replaces the server's in
        tests.
        """
        self._redis, self._prefix, self._kinds = redis, prefix, kinds
        self._lease_us, self._seed = int(lease_s * 1e6), seed
        self._store = Store(redis, clock=clock)
        self._clock = ServerClock()
        self._desks: dict[Key, Desk] = {}
        self._warned: dict[Key, float] = {}
        self._wakes = Wakes(redis, prefix=prefix, heard=self._heard)

    async def book(
        self,
        scope: Scope,
        estimate: Estimate,
        *,
        horizon_s: float = 2.0,
        patience_s: float = 30.0,
    ) -> Booked | Postponed | TooLarge:
        """Wait for a turn, and book a start at most *horizon_s* ahead: a longer horizon goes first.

        Postponed after *patience_s*, or at once when a pause or a day's limit lasts longer.
        """
        self._wakes.start()
        desk = self._desk(scope)
        self._warn_of_allowance(desk, estimate)
        deadline = asyncio.get_running_loop().time() + patience_s
        return await desk.book(estimate, horizon_us=int(horizon_s * 1e6), deadline=deadline)

    async def confirm(self, booked: Booked) -> bool:
        """Ask just before sending. False: void or more than 0.25 s late, given back; book again."""
        return await self._desk(booked.scope).confirm(booked)

    async def settle(self, booked: Booked, usage: Usage | None) -> None:
        """Correct a booking to what the call used; None: unknown or refused, the estimate stands.

        Acts once. Lost when Redis is away: then the estimate stands, and the lease dies.
        """
        await self._desk(booked.scope).settle(booked, usage)

    async def cancel(self, booked: Booked) -> None:
        """Give an unused booking back."""
        await self._desk(booked.scope).cancel(booked)

    async def penalise(
        self,
        scope: Scope,
        *,
        kind: ErrorKind,
        pause_s: float,
        reason: str,
        ramp: bool = False,
        refused: Booked | None = None,
    ) -> None:
        """Answer a refusal for all workers: pause, void what is not sent, and for `rate` cut.

        `money` and `key` pause all models of the account until `resume`, whatever *pause_s* says.
        With *ramp* (refused for too fast a rise) the rate recovers as slowly as providers ask.
        *refused* is the call's booking: calls that were booked together are punished once.
        """
        await self._desk(scope).penalise(
            kind=kind, pause_s=pause_s, reason=reason, ramp=ramp, refused=refused
        )

    async def resume(self, target: Scope | str) -> int:
        """End the pauses of a scope and its account, or of all of a provider; count them."""
        if isinstance(target, Scope):
            pairs = [self._desk(target).ledger.keys[:2]]
        else:
            pairs = await self._pairs_of(target)
        arguments = Ledger.resume()
        replies = [await self._store.call("resume", pair, arguments) for pair in pairs]
        return sum(Ledger.read_number(reply) for reply in replies)

    def configure(self, scope: Scope) -> None:
        """Take the limits of *scope* from now on, also for those who wait already."""
        desk = self._desks.get(_key(scope))
        if desk is not None and desk.ledger.scope != scope:
            desk.ledger.configure(scope)
            desk.wake()

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that this process has used."""
        return tuple(desk.ledger.scope for desk in self._desks.values())

    def input_ratio(self, scope: Scope) -> float:
        """Tell how many input tokens its calls were charged for one that was estimated."""
        return self._desk(scope).ledger.learned.input_ratio

    async def observe(self, scope: Scope, limits: Mapping[str, float]) -> None:
        """Keep the limits that headers told. Cheap when they say what they said before."""
        await self._desk(scope).observe(limits)

    async def renew(self) -> None:
        """Extend this process's leases, or bring them back to a store that was emptied."""
        for desk in tuple(self._desks.values()):
            await desk.renew()

    async def level(self, scope: Scope) -> Standing | None:
        """Tell how *scope* and its account stand; None: not known. Raises RedisError."""
        return await self._desk(scope).level()

    async def close(self) -> None:
        """Stop waiting: whoever waits is postponed. Open bookings stay with their callers."""
        for desk in self._desks.values():
            await desk.close()
        await self._wakes.close()

    def _desk(self, scope: Scope) -> Desk:
        key = _key(scope)
        if key not in self._desks:
            ledger = Ledger(scope, self._kinds[scope.provider], prefix=self._prefix)
            self._desks[key] = Desk(
                self._store, ledger, clock=self._clock, seed=self._seed, lease_us=self._lease_us
            )
        return self._desks[key]

    async def _pairs_of(self, provider: str) -> list[tuple[str, str]]:
        """Find the keys of all scopes of *provider*, each with that of its account."""
        start = account_prefix(self._prefix, provider, "").removesuffix("}")
        found = [
            key.decode() if isinstance(key, bytes) else key
            async for key in self._redis.scan_iter(match=escape(start) + "*:model:*")
        ]
        return [(key, key.partition("}")[0] + "}:account") for key in found]

    def _heard(self, account_key: str, news: str) -> None:
        for desk in self._desks.values():
            if desk.ledger.keys[1] == account_key:
                desk.wake(only_capped=news == PLACE_FREE)

    def _warn_of_allowance(self, desk: Desk, estimate: Estimate) -> None:
        """Tell people, once an hour, that max_tokens costs them throughput."""
        ledger = desk.ledger
        if not (ledger.charges.by_max_tokens and ledger.learned.is_far_above(estimate)):
            return
        now, key = asyncio.get_running_loop().time(), _key(ledger.scope)
        if now - self._warned.get(key, -WARN_AGAIN_S) >= WARN_AGAIN_S:
            self._warned[key] = now
            log.warning(
                "max_tokens_far_above_answers",
                model=ledger.scope.model,
                max_tokens=estimate.max_output_tokens,
                usual_answer=round(ledger.learned.answer),
                effect="the limit of tokens a minute is charged by max_tokens",
            )


def _key(scope: Scope) -> Key:
    return scope.provider, scope.account, scope.shared_by, scope.model
