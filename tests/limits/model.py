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

MINUTE_US, DAY_US, HOUR_US = 60_000_000, 86_400_000_000, 3_600_000_000
ACCEPT_US, KNOWN_AFTER_US = 15e6, 1_000_000
PROBE_START = 600.0
DOUBLING, REGAIN, CAREFUL, ONWARDS = 0.7, 0.1, 0.005, 0.03
LEAST, BLIND, GENTLE = 0.05, 0.5, 0.95
MEMORY, PRIOR = 0.98, 1
HINT_SHARE = 0.4
BURST_SHARE = 0.8
PROBE_HORIZON_US = 250_000
SHORTLY_US = 250_000
TRIED_US, TRIED_MOST_US = 1e6, 30e6


@dataclass
class Bucket:
    """A limit by the minute."""

    dimension: Dimension
    limit: float = 0.0
    told: float = 0.0
    full_at: float = 0.0
    rate: float = 0.0
    """Permits a microsecond."""
    depth: float = 0.0
    biggest: float = 0.0

    @property
    def fill_us(self) -> float:
        """How long it takes to fill an empty one."""
        return self.depth / self.rate

    @property
    def empty_at(self) -> float:
        """When it holds nothing: the earliest start of a call that costs nothing."""
        return self.full_at - self.fill_us

    def pace(self, *, share: float, burst_us: float, drains_from: float) -> None:
        whole = self.dimension is Dimension.RPM
        self.depth = self.limit * (burst_us * BURST_SHARE or 250_000) / MINUTE_US
        if whole:
            self.depth = max(1.0, self.depth)
        spare = 0.0 if burst_us else self.depth - 1 if whole else max(self.depth, self.biggest)
        rate = max(self.limit * 0.995 - spare, self.limit / 2) / MINUTE_US * share
        if self.rate and self.full_at > drains_from:
            self.full_at = drains_from + (self.full_at - drains_from) * self.rate / rate
        self.rate = rate


@dataclass
class Count:
    """A limit by the day."""

    dimension: Dimension
    limit: float = 0.0
    told: float = 0.0
    used: float = 0.0
    day: int = 0

    def used_on(self, day: int) -> float:
        return self.used if self.day >= day else 0.0


Spec = tuple[float, tuple[float, ...], tuple[float, ...]]


def spec_of(scope: Scope) -> Spec:
    """Say what a scope's worker was configured with: burst in us, own limits, shared limits."""
    own, shared = dict(scope.limits), dict(scope.shared)
    return (
        scope.burst_s * 1e6,
        tuple(own.get(each, 0.0) for each in Dimension),
        tuple(shared.get(each, 0.0) for each in Dimension),
    )


@dataclass
class State:
    """A scope, or its account."""

    buckets: list[Bucket]
    counts: list[Count]
    last: float = 0.0
    serial: int = 0
    queued: float = 0.0
    served: float = 0.0
    plan: int = 0
    punished: float = 0.0
    pause: float = 0.0
    why: str = ""
    streak: int = 0
    hold: float = 0.0
    cut: float = 1.0
    cut_at: float = 0.0
    recover: float = 0.0
    accepted: float = 0.0
    accepted_at: float = 0.0
    accepted_since: float = 0.0
    probe: float = 0.0
    ceiling: float = 0.0
    spec: object = None
    """What it was paced for; None: to be paced anew."""
    paced: float = 0.0
    epoch: int = 0

    @property
    def limits(self) -> list[Bucket | Count]:
        return [*self.buckets, *self.counts]

    @property
    def bounded(self) -> list[Bucket]:
        return [each for each in self.buckets if each.limit]

    @property
    def counted(self) -> list[Count]:
        return [each for each in self.counts if each.limit]

    @property
    def is_limited(self) -> bool:
        return bool(self.bounded or self.counted)

    def take(self, limits: Sequence[float], now: int) -> None:
        """Set the limits. Where one comes up by the minute it is another plan."""
        if self.paced and any(
            limit and not each.limit for each, limit in zip(self.buckets, limits, strict=False)
        ):
            self.plan, self.punished = self.plan + 1, now
        for each, limit in zip(self.limits, limits, strict=True):
            each.limit = limit

    def share_of(self, costs: Sequence[float]) -> float:
        """Say what part of a minute's limit these costs are."""
        pairs = zip(self.buckets, costs, strict=False)
        return max((cost / each.limit for each, cost in pairs if each.limit), default=0.0)


def new_state(used: dict[Dimension, float], day: int) -> State:
    """Begin a scope or an account of which only is known what it used today."""
    minutes = [each for each in Dimension if each.window_s == 60]
    days = [each for each in Dimension if each.window_s != 60]
    counts = [Count(each, used=used.get(each, 0.0), day=day) for each in days]
    return State([Bucket(each) for each in minutes], counts)


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

    def book(
        self, scope: Scope, asked: Sequence[tuple[Request, tuple[Charge, ...]]], at: At
    ) -> list[Answer] | None:
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
        return [self._book(scope, own, each, costs, at) for each, costs in asked]

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
            self._accept(sides[0], actuals, at.now)
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
    ) -> int:
        sides = self._sides(scope)
        if not sides:
            return -1
        own, account = sides
        target = account if whole else own
        episode = now - target.punished >= 2_000_000
        if refused is not None and refused.plan > 0:
            episode = self.is_current(scope, refused)
        if episode:
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
                self._slow_down(own, now, recover_us)
            own.last = now
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
        """Forget whose lease ran out, or lies an age ahead."""
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
            own.cut, own.cut_at = self._share(own, now), now
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

    def _book(
        self,
        scope: Scope,
        own: State,
        request: Request,
        charges: tuple[Charge, ...],
        at: At,
    ) -> Answer:
        assert self.account is not None
        answer = self._decide(scope, own, request, charges, at)
        if request.booking_id in self.leases and not isinstance(answer, TooLarge):
            return self._again(own, request, charges)
        if not isinstance(answer, Granted):
            return answer
        own.served = max(own.served, request.turn)
        for side in (own, self.account):
            self._charge(side, charges, answer.start_us, at.clock)
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

    def _decide(
        self,
        scope: Scope,
        own: State,
        request: Request,
        charges: tuple[Charge, ...],
        at: At,
    ) -> Answer:
        assert self.account is not None
        now, clock = at
        left, why = self.paused(scope, now)
        if own.hold - now > left:
            left, why = own.hold - now, "one call is tried"
        spent, large = self._spent(own, charges, clock), _too_large(own, charges)
        start, base, work = _earliest(own, charges, max(now + left, own.last))
        late, shared = 0.0, float(now)
        if large is None and spent is None and self.account.is_limited:
            spent = self._spent(self.account, charges, clock)
            large = _too_large(self.account, charges)
            soonest, shared, shared_work = _earliest(self.account, charges, now + left)
            start, work = max(start, soonest), max(work, shared_work)
            late = start - soonest
        if large is not None:
            return large
        horizon, turn = request.horizon_us, request.turn
        horizon = min(horizon, PROBE_HORIZON_US) if own.probe else horizon
        if left > horizon:
            return Refused("paused", ceil(left), self._turn(own, turn, work), why)
        if spent is not None:
            reset = (self.day_of(clock) + 1) * DAY_US + self.offset_us - clock
            return Refused("day", reset, turn, spent.value)
        ahead = base - now
        due = self._is_due(own, turn, ahead, horizon, late)
        if late > SHORTLY_US or shared - now > horizon or not due:
            turn = self._turn(own, turn, work)
            wait = max((turn - own.served) / own.cut + ahead, shared - now, work / 2 + horizon)
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

    def _spent(self, side: State, charges: tuple[Charge, ...], clock: int) -> Dimension | None:
        """Name the last limit of a day that is used up."""
        spent = None
        for count, charge in zip(side.counts, charges[4:], strict=True):
            cost = min(charge.cost, count.limit)
            if count.limit and count.used_on(self.day_of(clock)) + cost > count.limit:
                spent = count.dimension
        return spent

    @staticmethod
    def _is_due(own: State, turn: int, ahead: float, horizon: int, late: float) -> bool:
        """Whether it is its turn, as far as the scope's own queue goes."""
        queued = own.queued - own.served if turn == 0 else (turn - own.served) / own.cut
        is_next = queued <= (0 if turn == 0 else horizon - ahead)
        is_free = ahead <= horizon / 2 and (turn > 0 or late <= SHORTLY_US / 2)
        return ahead <= horizon and (is_next or is_free)

    def _turn(self, own: State, turn: int, work: float) -> int:
        if turn == 0:
            own.queued = ceil(max(own.queued, own.served) + work * own.cut)
            return int(own.queued)
        return turn

    def _charge(self, side: State, charges: tuple[Charge, ...], start: int, clock: int) -> None:
        today = self.day_of(clock)
        for bucket, charge in zip(side.buckets, charges[:4], strict=True):
            if bucket.limit:
                cost = min(charge.cost, bucket.limit)
                bucket.full_at = max(bucket.full_at, start) + cost / bucket.rate
                if cost > bucket.depth and cost > bucket.biggest:
                    bucket.biggest, side.spec = cost, None
        for count, charge in zip(side.counts, charges[4:], strict=True):
            if count.limit:
                count.used, count.day = count.used_on(today), max(count.day, today)
                count.used += min(charge.cost, count.limit)

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

    def _accept(self, own: State, actuals: tuple[int, ...], now: int) -> None:
        assert self.account is not None
        work = 1.0 if own.probe else own.share_of(actuals) or self.account.share_of(actuals)
        faded = own.accepted * exp((own.accepted_at - now) / ACCEPT_US)
        own.accepted, own.accepted_at = faded + work * MINUTE_US, now
        own.accepted_since = own.accepted_since or now
        if own.probe and own.buckets[0].full_at > now:
            own.probe += 60 * self._growth(own)
            own.spec = None

    @staticmethod
    def _growth(own: State) -> float:
        """Requests a minute more, a second, by a call that was answered."""
        if not own.ceiling:
            return DOUBLING
        share = own.probe / own.ceiling
        return REGAIN if share < 0.9 else CAREFUL if share < 1.1 else ONWARDS

    @staticmethod
    def _share(own: State, now: int) -> float:
        return min(1.0, own.cut + (now - own.cut_at) * own.recover)

    def _slow_down(self, own: State, now: int, recover_us: float) -> None:
        m = 1.0 if own.probe else self._share(own, now)
        m = max(LEAST, min(m * GENTLE, max(m * BLIND, self._accepted_share(own, now) * 0.97)))
        if own.probe:
            own.ceiling, own.probe = own.probe, max(1.0, own.probe * m)
        else:
            own.cut, own.cut_at, own.recover = m, now, recover_us

    @staticmethod
    def _accepted_share(own: State, now: int) -> float:
        age = now - own.accepted_since
        if not own.accepted_since or age < KNOWN_AFTER_US:
            return 1.0
        faded = own.accepted * exp((own.accepted_at - now) / ACCEPT_US)
        share = faded / (ACCEPT_US * (1 - exp(-age / ACCEPT_US)))
        return share / own.probe if own.probe else share

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


def lower_of(limit: float, told: float) -> float:
    """-> the smaller one; 0 is none."""
    return min(limit or inf, told or inf) if limit or told else 0.0


def _too_large(side: State, charges: tuple[Charge, ...]) -> TooLarge | None:
    for each, charge in zip(side.limits, charges, strict=True):
        if 0 < each.limit < min(charge.cost, charge.least):
            return TooLarge(each.dimension, charge.least, floor(each.limit))
    return None


def _earliest(side: State, charges: tuple[Charge, ...], first: float) -> tuple[float, float, float]:
    """-> earliest start, what it is without the call's own need, and the work it brings."""
    start, base, work = first, first, 0.0
    for bucket, charge in zip(side.buckets, charges[:4], strict=True):
        if bucket.limit:
            cost = min(charge.cost, bucket.limit)
            need = cost / bucket.rate if cost < bucket.depth else bucket.fill_us
            base = max(base, bucket.empty_at)
            start = max(start, bucket.empty_at + need)
            work = max(work, cost / bucket.rate)
    return start, base, work
