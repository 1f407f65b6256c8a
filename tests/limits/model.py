"""The limiter's rules once more, in plain Python: what the scripts must do with one account.

All times are microseconds, as in the scripts; `now` is on the account's clock, `clock` is the
server's. Nothing here is shared with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, exp, floor, inf
from typing import NamedTuple

from promptmill.workers.limits.charges import Charge
from promptmill.workers.limits.ledger import Answer, Granted, Refused, Request
from promptmill.workers.limits.limit import Booked, Dimension, Estimate, Scope, TooLarge
from tests.limits.model_state import (
    MINUTE_US,
    SHORTLY_US,
    Spec,
    State,
    lower_of,
    new_state,
    spec_of,
)

DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
PROBE_START = 600.0
MEMORY, PRIOR = 0.98, 1
HINT_SHARE = 0.4
PROBE_HORIZON_US = 250_000
TRIED_US, TRIED_MOST_US = 1e6, 30e6
TAKEN_US = 1e6


Asked = tuple[Request, tuple[Charge, ...]]
"""A waiter's question, and what it will be charged."""


class At(NamedTuple):
    """An instant, on both clocks."""

    now: int
    clock: int


@dataclass
class Model:
    """One account: its scopes, its calls in flight, and what its models taught."""

    offset_us: int
    lease_us: int
    account: State | None = None
    scopes: dict[str, State] = field(default_factory=dict)
    leases: dict[str, float] = field(default_factory=dict)
    learned: dict[str, tuple[float, ...]] = field(default_factory=dict)
    skew: float = 0.0
    capped: float = 0.0
    """Until when somebody waits for a place in flight."""
    heard: float = 0.0
    """When the account was last written."""

    def day_of(self, clock: float) -> int:
        return floor((clock - self.offset_us) / DAY_US)

    def seed(
        self,
        scope: Scope,
        own: dict[Dimension, float],
        shared: dict[Dimension, float],
        *,
        learned: tuple[float, ...],
        epoch: int,
        clock: float,
    ) -> None:
        if self.account is None:
            self.account = new_state(shared, self.day_of(clock))
            self.account.epoch, self.account.plan = epoch, 1
        if scope.shared_by not in self.scopes:
            self.scopes[scope.shared_by] = new_state(own, self.day_of(clock))
        if learned:
            self.learned.setdefault(scope.model, learned)

    def paused(self, scope: Scope, now: float) -> tuple[float, str]:
        """Say for how long nothing may go out, and why."""
        assert self.account is not None
        sides = (self.account, self.scopes[scope.shared_by])
        left, _, why = max((each.pause - now, each is self.account, each.why) for each in sides)
        return (left, why) if left > 0 else (0.0, "")

    def book(self, scope: Scope, asked: Sequence[Asked], at: At) -> list[Answer] | None:
        own = self.scopes.get(scope.shared_by)
        if own is None or self.account is None:
            return None
        spec = spec_of(scope)
        if (
            own.spec != spec
            or self.account.spec != (spec[0], spec[2])
            or at.now - own.paced > 1_000_000
        ):
            self._pace(own, spec, at.now)
        if len(self.leases) + len(asked) > scope.concurrency:
            self.bury(at.now)
        return [self._book(scope, own, each, at) for each in asked]

    def confirm(self, scope: Scope, booked: Booked, now: int) -> bool:
        sides = self._sides(scope)
        if (
            sides
            and self.is_current(scope, booked)
            and not self.paused(scope, now)[0]
            and now - booked.start_us <= 250_000
            and booked.booking_id in self.leases
        ):
            self.leases[booked.booking_id] = now + self.lease_us
            return True
        self.cancel(scope, booked)
        return False

    def cancel(self, scope: Scope, booked: Booked) -> bool:
        had = self.leases.pop(booked.booking_id, None) is not None
        sides = self._sides(scope)
        if not had or not sides:
            return False
        self._recharge(scope, booked, (0,) * 6)
        if self.is_current(scope, booked) and booked.serial == sides[0].serial:
            sides[0].last, sides[0].hold = booked.before_us, 0.0
        return True

    def settle(
        self,
        scope: Scope,
        booked: Booked,
        actuals: tuple[int, ...] | None,
        lesson: tuple[int, int],
        at: At,
    ) -> bool:
        if self.leases.pop(booked.booking_id, None) is None:
            return False
        if actuals is None:
            return True
        self._learn(scope.model, booked.estimate, *lesson)
        if sides := self._sides(scope):
            self._recharge(scope, booked, actuals)
            own, account = sides
            work = 1.0 if own.probe else own.share_of(actuals) or account.share_of(actuals)
            own.accept(work, at.now)
            if booked.start_us >= max(each.punished for each in sides):
                sides[0].streak, sides[0].hold = 0, 0.0
        return True

    def penalise(
        self,
        scope: Scope,
        now: int,
        *,
        pause_us: float,
        cut: bool,
        recover_us: float,
        whole: bool,
        reason: str,
        prefix: str,
        refused: Booked | None,
        ramp: bool,
    ) -> int:
        sides = self._sides(scope)
        if not sides:
            return -1
        own, account = sides
        target = account if whole else own
        episode, held_us = now - target.punished >= 2_000_000, 0.0
        if refused is not None and refused.plan > 0:
            episode = self.is_current(scope, refused)
            held_us = own.held_us(now, refused.start_us)
        if episode:
            if held_us >= TAKEN_US:
                own.streak, own.hold = 0, 0.0
            own.streak += 1
            if own.streak > 1:
                pause_us = max(pause_us, min(TRIED_MOST_US, TRIED_US * 2 ** (own.streak - 2)))
        if now + pause_us >= target.pause:
            target.pause, target.why = now + pause_us, reason
        unsent = inf
        if episode:
            target.plan += 1
            target.punished = now
            unsent = self._void_unsent(prefix, now, whole=whole)
            if cut and own.streak == 1:
                own.slow_down(now, recover_us, held_us=0.0 if ramp else held_us)
            own.last, own.first = now, 0.0
            own.serial += 1
        for bucket in own.bounded:
            bucket.full_at = min(bucket.full_at, unsent + bucket.fill_us)
            bucket.full_at = max(bucket.full_at, max(own.pause, now) + bucket.fill_us)
        own.spec = None
        return own.plan + account.plan

    def resume(self, scope: Scope, now: int) -> int:
        ended = 0
        own = self.scopes.get(scope.shared_by)
        if own and own.pause > now:
            for bucket in own.bounded:
                bucket.full_at = min(bucket.full_at, max(now, own.last) + bucket.fill_us)
        for side in (own, self.account):
            if side and side.pause > now:
                side.pause, side.why = 0.0, ""
                ended += 1
        return ended

    def observe(self, scope: Scope, told: dict[Dimension, float]) -> int:
        own = self.scopes.get(scope.shared_by)
        if own is None:
            return 0
        changed = [each for each in own.limits if told.get(each.dimension, each.told) != each.told]
        for each in changed:
            each.told = told[each.dimension]
            own.spec = None
        return len(changed)

    def renew(self, booking_ids: Sequence[str], now: int) -> int:
        self.leases |= dict.fromkeys(booking_ids, now + self.lease_us)
        if self.account is not None:
            self.bury(now)
        return len(self.leases)

    def bury(self, now: int) -> None:
        """Forget whose lease ran out while there was news, or lies an age ahead."""
        if now - self.heard > self.lease_us / 2:
            for booking_id, expires in self.leases.items():
                if self.heard <= expires <= now:
                    self.leases[booking_id] = now + self.lease_us / 3
        self.leases = {
            booking_id: expires
            for booking_id, expires in self.leases.items()
            if now < expires < now + HOUR_US
        }

    def is_current(self, scope: Scope, booked: Booked) -> bool:
        sides = self._sides(scope)
        plans = sum(each.plan for each in sides)
        return bool(sides) and (sides[-1].epoch, plans) == (booked.epoch, booked.plan)

    def _sides(self, scope: Scope) -> tuple[State, ...]:
        """-> the scope and its account; nothing where either is not known."""
        own = self.scopes.get(scope.shared_by)
        return () if own is None or self.account is None else (own, self.account)

    def _pace(self, own: State, spec: Spec, now: int) -> None:
        account = self.account
        assert account is not None
        burst_us, *configured = spec
        limits, shared = (
            [lower_of(limit, each.told) for limit, each in zip(some, side.limits, strict=True)]
            for some, side in zip(configured, (own, account), strict=True)
        )
        if own.cut < 1:
            own.cut, own.cut_at = own.share_at(now), now
        if not any((*limits[:4], *shared[:4])):
            own.probe = own.probe or PROBE_START
            limits[0], burst_us = own.probe, 0.0
        else:
            if own.probe:
                own.probe = own.accepted = own.accepted_since = 0.0
            if not any(limits[:4]) and own.cut < 1:
                limits[:4] = shared[:4]
        for side, some in ((account, shared), (own, limits)):
            side.take(some, now)
        for side, share in ((own, own.cut), (account, 1.0)):
            drains_from = max(now, side.last, own.pause)
            for bucket in side.bounded:
                bucket.biggest *= exp((side.paced - now) / MINUTE_US)
                bucket.pace(share=share, burst_us=burst_us, drains_from=drains_from)
            side.paced = now
        own.spec, account.spec = spec, (spec[0], spec[2])

    def _book(self, scope: Scope, own: State, asked: Asked, at: At) -> Answer:
        assert self.account is not None
        request, charges = asked
        answer = self._decide(scope, own, asked, at)
        if request.booking_id in self.leases and not isinstance(answer, TooLarge):
            return self._again(own, request, charges)
        if not isinstance(answer, Granted):
            return answer
        own.served = max(own.served, request.turn)
        own.first = own.first or answer.start_us
        for side in (own, self.account):
            side.charge(charges, answer.start_us, self.day_of(at.clock))
        if self.account.is_limited:
            self.account.last = max(self.account.last, answer.start_us)
        own.last, own.serial = answer.start_us, answer.serial
        if own.streak > 1:
            own.hold = answer.start_us + min(TRIED_MOST_US, TRIED_US * 2 ** (own.streak - 1))
        self.leases[request.booking_id] = answer.start_us + self.lease_us
        return answer

    def _again(self, own: State, request: Request, charges: tuple[Charge, ...]) -> Granted:
        """Answer a call whose answer was lost. It may be void where there was a penalty."""
        assert self.account is not None
        start = int(self.leases[request.booking_id] - self.lease_us)
        punished = max(own.punished, self.account.punished)
        void = punished > 0 and start - punished < self.lease_us
        plan = -1 if void else own.plan + self.account.plan
        costs = tuple(each.cost for each in charges)
        return Granted(start, plan, 0, start, self.account.epoch, costs)

    def _decide(self, scope: Scope, own: State, asked: Asked, at: At) -> Answer:
        assert self.account is not None
        (request, charges), (now, clock) = asked, at
        left, why = self.paused(scope, now)
        if own.hold - now > left:
            left, why = own.hold - now, "one call is tried"
        today = self.day_of(clock)
        spent, large = own.spent(charges, today), own.too_large(charges)
        start, base, work = own.earliest(charges, max(now + left, own.last))
        late, shared = 0.0, float(now)
        if large is None and spent is None and self.account.is_limited:
            spent, large = self.account.spent(charges, today), self.account.too_large(charges)
            soonest, shared, shared_work = self.account.earliest(charges, now + left)
            start, work = max(start, soonest), max(work, shared_work)
            late = start - soonest
        if large is not None:
            return large
        horizon, turn = request.horizon_us, request.turn
        horizon = min(horizon, PROBE_HORIZON_US) if own.probe else horizon
        if left > horizon:
            return Refused("paused", ceil(left), own.turn_of(turn, work), why)
        if spent is not None:
            reset = (today + 1) * DAY_US + self.offset_us - clock
            return Refused("day", reset, turn, spent.value)
        ahead = base - now
        due = own.is_due(turn, ahead, horizon, late)
        if late > SHORTLY_US or shared - now > horizon or not due:
            turn = own.turn_of(turn, work)
            soon = min(work, SHORTLY_US) / 2
            wait = max((turn - own.served) / own.cut + ahead, shared - now, soon + horizon)
            wait = late - SHORTLY_US / 2 if late > SHORTLY_US else wait - horizon
            return Refused("turn", ceil(min(wait, horizon * HINT_SHARE)), turn)
        if len(self.leases) >= scope.concurrency:
            if self.capped < now + 1_000_000:
                self.capped = now + 2_000_000
            return Refused("cap", 0, turn)
        costs = tuple(each.cost for each in charges)
        plan = own.plan + self.account.plan
        before = int(own.last)
        return Granted(ceil(start), plan, own.serial + 1, before, self.account.epoch, costs)

    def _recharge(self, scope: Scope, booked: Booked, actuals: tuple[int, ...]) -> None:
        """Put what was used in place of what was booked. A penalty set the scope's buckets anew."""
        own, account = self._sides(scope) or (None, None)
        assert own is not None
        assert account is not None
        for side in (own, account):
            deltas = [
                actual - min(cost, each.limit)
                for each, actual, cost in zip(side.limits, actuals, booked.costs, strict=True)
            ]
            counts_still = side is account or self.is_current(scope, booked)
            for bucket, delta in zip(side.buckets, deltas[:4], strict=True):
                if bucket.limit and delta and counts_still and booked.epoch == account.epoch:
                    bucket.full_at += delta / bucket.rate
            for count, delta in zip(side.counts, deltas[4:], strict=True):
                if count.limit and count.day == self.day_of(booked.start_us - self.skew):
                    count.used = max(0.0, count.used + delta)

    def _void_unsent(self, prefix: str, now: int, *, whole: bool) -> float:
        """Void what is still to come: it was not sent. -> start of the scope's first of those."""
        first = inf
        for booking_id, expires in self.leases.items():
            start, own = expires - self.lease_us, booking_id.startswith(prefix)
            if start > now and (own or whole):
                first = min(first, start) if own else first
                self.leases[booking_id] = now + self.lease_us
        return first

    def _learn(self, model: str, estimate: Estimate, used: int, output: int) -> None:
        given, allowed = estimate.input_tokens, estimate.max_output_tokens
        if model not in self.learned:
            likely = 256 if allowed is None else allowed
            first = (1, given, given, likely, allowed or 0, allowed or 0)
            self.learned[model] = tuple(PRIOR * each for each in first)
        once = (1, given, used, output, allowed or 0, output if allowed else 0)
        old = self.learned[model]
        self.learned[model] = tuple(a * MEMORY + b for a, b in zip(old, once, strict=True))
