"""One scope in one worker process: who waits for it, what is booked, and every call about it."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog
from redis.exceptions import RedisError

from promptmill.schema.limit_day import day_number
from promptmill.schema.limit_level import Standing, account_now, read_level
from promptmill.schema.limit_state import unpack_state
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.workers.limits.gathering import Gathering
from promptmill.workers.limits.ledger import Answer, Granted, Ledger, Request
from promptmill.workers.limits.limit import Booked, Estimate, Scope, Seed
from promptmill.workers.limits.pump import Pump, Reply, Waiter
from promptmill.workers.limits.server_clock import ServerClock
from promptmill.workers.limits.store import Store

LATE_S = 0.25
"""A booking that is this late is void: its permits belong to another second."""
RENEW_AT_ONCE = 1000
OBSERVE_AGAIN_S = 60.0
FAR_S = 400 * 86_400.0
"""A pause without end."""
RECOVER_US = 0.002 / 1e6
"""How fast a rate that was cut recovers, of the limit a microsecond."""
RAMP_RECOVER_US = 0.5 / 900e6
"""After a refusal of too fast a rise. OpenAI's guide: raise by at most 50 % in 15 minutes."""

_WHOLE_ACCOUNT = frozenset({ErrorKind.MONEY, ErrorKind.KEY})
_ids = itertools.count(1)
_process = secrets.token_hex(4)

log = structlog.get_logger(__name__)

Seeder = Callable[[Scope], Awaitable[Seed]]


class _Settled(msgspec.Struct, frozen=True, gc=False):
    booked: Booked
    usage: Usage | None


class Desk:
    """Books, confirms, settles for one scope; each kind of call for all who ask meanwhile."""

    def __init__(
        self, store: Store, ledger: Ledger, *, clock: ServerClock, seed: Seeder, lease_us: int
    ) -> None:
        self.ledger = ledger
        self._store, self._clock, self._seed, self._lease_us = store, clock, seed, lease_us
        self._pumps: dict[int, Pump] = {}
        self._confirming = Gathering[Booked, bool](self._confirm_all)
        self._settling = Gathering[_Settled, bool](self._settle_all)
        self._cancelling = Gathering[Booked | str, bool](self._cancel_all)
        self._sent: dict[str, bool] = {}  # our open bookings, and whether they were sent
        self._remembers = False  # what other processes learned
        self._told: Mapping[str, float] = {}
        self._told_at = 0.0
        self._releasing: set[asyncio.Task[object]] = set()

    @property
    def waiting(self) -> int:
        """Callers that wait here."""
        return sum(pump.waiting for pump in self._pumps.values())

    async def book(self, estimate: Estimate, *, horizon_us: int, deadline: float) -> Reply:
        """Wait for a start; see `Permits.book`."""
        booking_id = f"{self.ledger.id_prefix}{_process}{next(_ids):x}"
        request = Request(booking_id, estimate, horizon_us)
        waiter = Waiter(request, deadline, asyncio.get_running_loop().create_future())
        return await self._pump(horizon_us).wait(waiter)

    async def confirm(self, booked: Booked) -> bool:
        """Ask whether to send; see `Permits.confirm`."""
        try:
            go = await self._confirming.ask(booked)
        except (RedisError, OSError):
            go = False
        if go and booked.booking_id in self._sent:
            self._sent[booked.booking_id] = True
        elif not go:
            self._sent.pop(booked.booking_id, None)
        return go

    async def settle(self, booked: Booked, usage: Usage | None) -> None:
        """Correct a booking; see `Permits.settle`."""
        if self._sent.pop(booked.booking_id, None) is not None:
            await self._settling.ask(_Settled(booked, usage))

    async def cancel(self, booked: Booked) -> None:
        """Give an unused booking back."""
        self._sent.pop(booked.booking_id, None)
        await self._cancelling.ask(booked)

    async def penalise(
        self, *, kind: ErrorKind, pause_s: float, reason: str, ramp: bool, refused: Booked | None
    ) -> None:
        """Answer a refusal for all workers; see `Permits.penalise`."""
        whole = kind in _WHOLE_ACCOUNT
        arguments = self.ledger.penalise(
            pause_us=int((FAR_S if whole else max(0.0, pause_s)) * 1e6),
            cut=kind is ErrorKind.RATE,
            recover_us=RAMP_RECOVER_US if ramp else RECOVER_US,
            whole_account=whole,
            reason=reason,
            lease_us=self._lease_us,
            refused=refused,
            ramp=ramp,
        )
        for _ in range(2):
            raw = await self._store.attempt("penalise", self.ledger.keys, arguments)
            if raw is None or self.ledger.read_number(raw) >= 0:
                return
            try:
                await self._tell_what_is_known()
            except (RedisError, OSError):
                return

    async def observe(self, limits: Mapping[str, float]) -> None:
        """Keep the limits that headers told. Cheap when they say what they said before."""
        now = asyncio.get_running_loop().time()
        if limits and (limits != self._told or now - self._told_at >= OBSERVE_AGAIN_S):
            self._told, self._told_at = dict(limits), now
            await self._observe()

    async def _observe(self) -> None:
        arguments = self.ledger.observe(self._told)
        await self._store.attempt("observe", self.ledger.keys, arguments)

    async def renew(self) -> None:
        """Extend the leases of what was sent, or bring them back to an emptied store."""
        sent = [booking_id for booking_id, was_sent in self._sent.items() if was_sent]
        for begin in range(0, len(sent), RENEW_AT_ONCE):
            some = sent[begin : begin + RENEW_AT_ONCE]
            arguments = self.ledger.renew(some, lease_us=self._lease_us)
            await self._store.attempt("renew", self.ledger.keys, arguments)
            for booking_id in some:
                if booking_id not in self._sent:  # settled while we renewed: it must go again
                    self._forget(booking_id)

    async def level(self) -> Standing | None:
        """Tell how scope and account stand; None: nothing is known of them."""
        redis = self._store.redis
        scope_raw, account_raw = await redis.mget(self.ledger.keys[:2])
        if not isinstance(scope_raw, bytes) or not isinstance(account_raw, bytes):
            return None
        account = unpack_state(account_raw)
        server_us = await self._store.now_us()
        now_us = account_now(account, server_us=server_us)
        day = day_number(server_us, self.ledger.scope.day_starts)
        return Standing(
            scope=read_level(unpack_state(scope_raw), now_us=now_us, day=day),
            account=read_level(account, now_us=now_us, day=day),
            in_flight=await redis.zcount(self.ledger.keys[2], now_us, "+inf"),
        )

    def wake(self, *, only_capped: bool = False) -> None:
        """Ask again now: something changed for the better, or *only_capped*: a place is free."""
        for pump in self._pumps.values():
            if only_capped:
                pump.place_freed()
            else:
                pump.wake()

    async def close(self) -> None:
        """Stop waiting: whoever waits is postponed. Open bookings stay with their callers."""
        for pump in self._pumps.values():
            await pump.close()
        while self._releasing:
            await asyncio.gather(*self._releasing)

    def _pump(self, horizon_us: int) -> Pump:
        if horizon_us not in self._pumps:
            self._pumps[horizon_us] = Pump(ask=self._ask, grant=self._grant, release=self._release)
        return self._pumps[horizon_us]

    async def _ask(self, requests: Sequence[Request]) -> Sequence[Answer]:
        loop = asyncio.get_running_loop()
        if not self._remembers:
            self.ledger.remember(await self._store.redis.get(self.ledger.keys[3]))
            self._remembers = True
        for _ in range(2):
            expected = self.ledger.expect(requests)
            arguments = self.ledger.book(requests, expected, lease_us=self._lease_us)
            sent = loop.time()
            raw = await self._store.call("book", self.ledger.keys, arguments)
            reply = self.ledger.read_book(expected, raw)
            if reply is not None:
                self._clock.read(reply.now_us, sent=sent, received=loop.time())
                return reply.answers
            await self._tell_what_is_known()
        msg = "the limiter forgets what it is told"
        raise OSError(msg)

    async def _tell_what_is_known(self) -> None:
        """Seed an empty store. Raises OSError where nobody can tell: nothing goes out then."""
        try:
            seed = await self._seed(self.ledger.scope)
        except Exception as error:
            msg = f"what limits were used is not known: {type(error).__name__}"
            raise OSError(msg) from error
        arguments = self.ledger.seed(seed, epoch=secrets.randbelow(1 << 48) + 1)
        await self._store.call("seed", self.ledger.keys, arguments)
        if self._told:
            await self._observe()

    def _grant(self, waiter: Waiter, granted: Granted) -> Booked:
        request = waiter.request
        self._sent[request.booking_id] = False
        return Booked(
            booking_id=request.booking_id,
            scope=self.ledger.scope,
            estimate=request.estimate,
            costs=granted.costs,
            start=self._clock.on_loop(granted.start_us),
            start_us=granted.start_us,
            plan=granted.plan,
            serial=granted.serial,
            before_us=granted.before_us,
            epoch=granted.epoch,
        )

    def _release(self, waiter: Waiter, booked: Booked | None) -> None:
        """Give back, in the background, what nobody waits for any more."""
        if booked is None:
            self._forget(waiter.request.booking_id)
        else:
            self._spawn(self.cancel(booked))

    def _forget(self, booking_id: str) -> None:
        self._spawn(self._cancelling.ask(booking_id))

    def _spawn(self, chore: Awaitable[object]) -> None:
        task = asyncio.ensure_future(chore)
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _confirm_all(self, booked: Sequence[Booked]) -> Sequence[bool]:
        arguments = self.ledger.confirm(booked, lease_us=self._lease_us, late_us=int(LATE_S * 1e6))
        return self.ledger.read_flags(
            await self._store.call("confirm", self.ledger.keys, arguments)
        )

    async def _settle_all(self, settled: Sequence[_Settled]) -> Sequence[bool]:
        arguments = self.ledger.settle([(each.booked, each.usage) for each in settled])
        raw = await self._store.attempt("settle", self.ledger.keys, arguments)
        return self.ledger.read_settle(raw) if raw else [False] * len(settled)

    async def _cancel_all(self, booked: Sequence[Booked | str]) -> Sequence[bool]:
        arguments = self.ledger.cancel(booked)
        raw = await self._store.attempt("cancel", self.ledger.keys, arguments)
        return self.ledger.read_flags(raw) if raw else [False] * len(booked)
