"""Permits: book a start, confirm it, send, settle. One object a worker process."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits import scripts
from promptmill.workers.limits.ledger import (
    Answer,
    Arguments,
    Granted,
    Ledger,
    Request,
    account_prefix,
)
from promptmill.workers.limits.level import Level, read_level
from promptmill.workers.limits.limit import Booked, Estimate, Postponed, Scope, TooLarge
from promptmill.workers.limits.pump import Pump, Waiter
from promptmill.workers.limits.server_clock import ServerClock

LEASE_S = 30.0
"""A worker that does not renew for this long is dead, and its calls in flight are forgotten."""
LATE_S = 0.25
"""A booking that is this late is void: its permits belong to another second."""
OBSERVE_AGAIN_S = 60.0
RENEW_AT_ONCE = 1000
FAR_S = 400 * 86_400.0
"""A pause without end."""

_WHOLE_ACCOUNT = frozenset({ErrorKind.MONEY, ErrorKind.KEY})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Open:
    """A booking of this process that is neither settled nor given back."""

    ledger: Ledger
    estimate: Estimate


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
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Use *redis* (see `connection.connect`; the caller closes it) under keys with *prefix*.

        *kinds* says how each provider charges. *clock*, in microseconds since 2025-01-01, replaces
        the server's in tests.
        """
        self._redis, self._prefix, self._kinds = redis, prefix, kinds
        self._lease_us = int(lease_s * 1e6)
        self._clock = clock
        self._server_clock = ServerClock()
        self._scripts = {
            name: redis.register_script(scripts.script_text(name)) for name in scripts.PARTS
        }
        self._ledgers: dict[Scope, Ledger] = {}
        self._pumps: dict[tuple[Scope, int], Pump] = {}
        self._open: dict[str, _Open] = {}
        self._told: dict[Scope, tuple[Mapping[str, float], float]] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._epoch = ""

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
        loop = asyncio.get_running_loop()
        request = Request(
            booking_id=uuid.uuid4().hex,
            charges=self._ledger(scope).charge(estimate),
            horizon_us=int(horizon_s * 1e6),
        )
        deadline = loop.time() + patience_s
        waiter = Waiter(request, estimate, deadline, loop.create_future())
        return await self._pump(scope, request.horizon_us).wait(waiter)

    async def confirm(self, booked: Booked) -> bool:
        """Ask just before sending. False: void or more than 0.25 s late, given back; book again."""
        ledger = self._ledger(booked.scope)
        arguments = ledger.confirm(
            booked.booking_id,
            now=self._now(),
            epoch=booked.epoch,
            lease_us=self._lease_us,
            late_us=int(LATE_S * 1e6),
        )
        try:
            go = bool(await self._call("confirm", ledger.keys, arguments))
        except (RedisError, OSError) as error:
            self._warn("confirm", error)
            go = False
        if not go:
            self._closed(booked.booking_id)
        return go

    async def settle(self, booked: Booked, usage: Usage | None) -> None:
        """Correct a booking to what the call used; None: unknown or refused, the estimate stands.

        Acts once. Lost when Redis is away: then the estimate stands, and the lease dies.
        """
        opened = self._closed(booked.booking_id)
        if opened is None:
            return
        arguments = opened.ledger.settle(booked.booking_id, opened.estimate, usage, now=self._now())
        await self._try("settle", opened.ledger.keys, arguments)
        self._wake(booked.scope)

    async def cancel(self, booked: Booked) -> None:
        """Give an unused booking back."""
        ledger = self._ledger(booked.scope)
        self._closed(booked.booking_id)
        await self._try("cancel", ledger.keys, ledger.cancel(booked.booking_id, now=self._now()))
        self._wake(booked.scope)

    async def penalise(self, scope: Scope, *, kind: ErrorKind, pause_s: float, reason: str) -> None:
        """Answer a refusal for all workers: pause, void what is not sent, and for `rate` cut.

        `money` and `key` pause all models of the account until `resume`, whatever *pause_s* says.
        """
        whole = kind in _WHOLE_ACCOUNT
        ledger = self._ledger(scope)
        arguments = ledger.penalise(
            now=self._now(),
            pause_us=int((FAR_S if whole else max(0.0, pause_s)) * 1e6),
            cut=kind is ErrorKind.RATE,
            whole_account=whole,
            reason=reason,
        )
        await self._try("penalise", ledger.keys, arguments)

    async def resume(self, target: Scope | str) -> int:
        """End the pauses of a scope and its account, or of all of a provider; count them."""
        if isinstance(target, Scope):
            keys = list(self._ledger(target).keys[:2])
        else:
            start = account_prefix(self._prefix, target, "").removesuffix("}")
            pattern = _escape(start) + "*"
            found = [key async for key in self._redis.scan_iter(match=pattern, _type="string")]
            keys = [key.decode() if isinstance(key, bytes) else key for key in found]
        ended = [await self._call("resume", [key], (self._now(), b"", b"")) for key in keys]
        for pump in self._pumps.values():
            pump.wake()
        return sum(ended)

    async def observe(self, scope: Scope, limits: Mapping[str, float]) -> None:
        """Keep the limits that headers told. Cheap when they say what they said before."""
        now = asyncio.get_running_loop().time()
        told, at = self._told.get(scope, ({}, 0.0))
        if not limits or (told == limits and now - at < OBSERVE_AGAIN_S):
            return
        self._told[scope] = (dict(limits), now)
        ledger = self._ledger(scope)
        await self._try("observe", ledger.keys[:1], ledger.observe(limits, now=self._now()))

    async def renew(self) -> None:
        """Extend this process's leases, or bring them back to a store that was emptied."""
        by_scope: dict[Scope, list[str]] = {}
        for booking_id, opened in self._open.items():
            by_scope.setdefault(opened.ledger.scope, []).append(booking_id)
        for scope, booking_ids in by_scope.items():
            for begin in range(0, len(booking_ids), RENEW_AT_ONCE):
                await self._renew(self._ledger(scope), booking_ids[begin : begin + RENEW_AT_ONCE])

    async def level(self, scope: Scope) -> Level:
        """Tell how *scope* stands. Raises RedisError when Redis is away."""
        ledger = self._ledger(scope)
        reply = await self._call("level", ledger.keys, ledger.level(now=self._now()))
        return read_level(
            reply,
            configured=dict(scope.limits),
            concurrency=scope.concurrency,
            waiting=sum(pump.waiting for (of, _), pump in self._pumps.items() if of == scope),
        )

    async def close(self) -> None:
        """Stop waiting: whoever waits is postponed. Open bookings stay with their callers."""
        for pump in self._pumps.values():
            await pump.close()
        while self._chores:
            await asyncio.gather(*self._chores)

    def _ledger(self, scope: Scope) -> Ledger:
        if scope not in self._ledgers:
            self._ledgers[scope] = Ledger(scope, self._kinds[scope.provider], prefix=self._prefix)
        return self._ledgers[scope]

    def _pump(self, scope: Scope, horizon_us: int) -> Pump:
        key = (scope, horizon_us)
        if key not in self._pumps:
            ledger = self._ledger(scope)

            async def ask(requests: Sequence[Request]) -> Sequence[Answer]:
                return await self._ask(ledger, requests)

            def grant(waiter: Waiter, granted: Granted) -> Booked:
                return self._granted(ledger, waiter, granted)

            def release(booking_id: str) -> None:
                self._release(ledger, booking_id)

            self._pumps[key] = Pump(ask=ask, grant=grant, release=release)
        return self._pumps[key]

    async def _renew(self, ledger: Ledger, booking_ids: Sequence[str]) -> None:
        arguments = ledger.renew(booking_ids, now=self._now(), lease_us=self._lease_us)
        await self._try("renew", ledger.keys, arguments)
        for booking_id in booking_ids:
            if booking_id not in self._open:  # settled while we renewed: it must go again
                await self._try("cancel", ledger.keys, ledger.cancel(booking_id, now=self._now()))

    async def _ask(self, ledger: Ledger, requests: Sequence[Request]) -> Sequence[Answer]:
        loop = asyncio.get_running_loop()
        arguments = ledger.book(
            requests, now=self._now(), epoch=uuid.uuid4().hex, lease_us=self._lease_us
        )
        sent = loop.time()
        reply = ledger.read_book(await self._call("book", ledger.keys, arguments))
        self._server_clock.read(reply.now_us, sent=sent, received=loop.time())
        self._epoch = reply.epoch
        return reply.answers

    def _granted(self, ledger: Ledger, waiter: Waiter, granted: Granted) -> Booked:
        booking_id = waiter.request.booking_id
        self._open[booking_id] = _Open(ledger, waiter.estimate)
        return Booked(
            booking_id=booking_id,
            scope=ledger.scope,
            costs=granted.costs,
            start=self._server_clock.on_loop(granted.start_us),
            plan=granted.plan,
            epoch=self._epoch,
        )

    def _release(self, ledger: Ledger, booking_id: str) -> None:
        """Give back, in the background, what nobody waits for any more."""

        async def give_back() -> None:
            await self._try("cancel", ledger.keys, ledger.cancel(booking_id, now=self._now()))
            self._wake(ledger.scope)

        self._closed(booking_id)
        chore = asyncio.create_task(give_back(), name="limits-release")
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    def _closed(self, booking_id: str) -> _Open | None:
        return self._open.pop(booking_id, None)

    def _wake(self, scope: Scope) -> None:
        """Tell the account's waiters that a lease became free here."""
        for (other, _), pump in self._pumps.items():
            if (other.provider, other.account) == (scope.provider, scope.account):
                pump.lease_freed()

    def _now(self) -> str:
        return "" if self._clock is None else str(self._clock())

    async def _call(self, name: str, keys: Sequence[str], arguments: Arguments) -> Any:
        script: AsyncScript = self._scripts[name]
        return await script(keys=keys, args=arguments)

    async def _try(self, name: str, keys: Sequence[str], arguments: Arguments) -> None:
        try:
            await self._call(name, keys, arguments)
        except (RedisError, OSError) as error:
            self._warn(name, error)

    def _warn(self, name: str, error: Exception) -> None:
        log.warning("limiter_unreachable", script=name, error=type(error).__name__)


def _escape(text: str) -> str:
    """Make *text* match itself in a Redis pattern."""
    return "".join(f"\\{letter}" if letter in "*?[]^-\\" else letter for letter in text)
