"""What the model remembers of a scope or an account: limits, queue, and how fast they may go."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, floor, inf

from promptmill.workers.limits.charges import Charge
from promptmill.workers.limits.limit import Dimension, Scope, TooLarge

MINUTE_US = 60_000_000
ACCEPT_US, KNOWN_AFTER_US = 15e6, 1_000_000
DOUBLING, REGAIN, CAREFUL, ONWARDS = 0.7, 0.1, 0.005, 0.03
LEAST, BLIND, GENTLE = 0.05, 0.5, 0.95
HELD_US, PROVEN_AFTER_US = 3e6, 10e6
BURST_SHARE = 0.8
SHORTLY_US = 250_000


@dataclass
class Limit:
    """A ceiling; 0 is none."""

    dimension: Dimension
    limit: float = 0.0
    told: float = 0.0


@dataclass
class Bucket(Limit):
    """A limit by the minute."""

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
class Count(Limit):
    """A limit by the day."""

    used: float = 0.0
    day: int = 0

    def used_on(self, day: int) -> float:
        return self.used if self.day >= day else 0.0


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
    first: float = 0.0
    """Start of the first booking of the plan."""
    streak: int = 0
    hold: float = 0.0
    cut: float = 1.0
    cut_at: float = 0.0
    recover: float = 0.0
    uncut: float = 0.0
    proven: float = 0.0
    """What was accepted when it was cut last, and what it was."""
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
            self.plan, self.punished, self.first = self.plan + 1, now, 0.0
        for each, limit in zip(self.limits, limits, strict=True):
            each.limit = limit

    def share_of(self, costs: Sequence[float]) -> float:
        """Say what part of a minute's limit these costs are."""
        pairs = zip(self.buckets, costs, strict=False)
        return max((cost / each.limit for each, cost in pairs if each.limit), default=0.0)

    def too_large(self, charges: tuple[Charge, ...]) -> TooLarge | None:
        """-> the first limit that the call can never fit."""
        for each, charge in zip(self.limits, charges, strict=True):
            if 0 < each.limit < min(charge.cost, charge.least):
                return TooLarge(each.dimension, charge.least, floor(each.limit))
        return None

    def earliest(self, charges: tuple[Charge, ...], first: float) -> tuple[float, float, float]:
        """-> earliest start, what it is without the call's own need, and the work it brings."""
        start, base, work = first, first, 0.0
        for bucket, charge in zip(self.buckets, charges[:4], strict=True):
            if bucket.limit:
                cost = min(charge.cost, bucket.limit)
                need = cost / bucket.rate if cost < bucket.depth else bucket.fill_us
                base = max(base, bucket.empty_at)
                start = max(start, bucket.empty_at + need)
                work = max(work, cost / bucket.rate)
        return start, base, work

    def spent(self, charges: tuple[Charge, ...], today: int) -> Dimension | None:
        """Name the last limit of a day that is used up."""
        spent = None
        for count, charge in zip(self.counts, charges[4:], strict=True):
            cost = min(charge.cost, count.limit)
            if count.limit and count.used_on(today) + cost > count.limit:
                spent = count.dimension
        return spent

    def is_due(self, turn: int, ahead: float, horizon: int, late: float) -> bool:
        """Whether it is its turn, as far as the scope's own queue goes."""
        queued = self.queued - self.served if turn == 0 else (turn - self.served) / self.cut
        is_next = queued <= (0 if turn == 0 else horizon - ahead)
        is_free = ahead <= horizon / 2 and (turn > 0 or late <= SHORTLY_US / 2)
        return ahead <= horizon and (is_next or is_free)

    def turn_of(self, turn: int, work: float) -> int:
        """-> its place in the virtual queue; a new one where it has none."""
        if turn == 0:
            self.queued = ceil(max(self.queued, self.served) + work * self.cut)
            return int(self.queued)
        return turn

    def charge(self, charges: tuple[Charge, ...], start: int, today: int) -> None:
        """Take a call down, in each limit."""
        for bucket, charge in zip(self.buckets, charges[:4], strict=True):
            if bucket.limit:
                cost = min(charge.cost, bucket.limit)
                bucket.full_at = max(bucket.full_at, start) + cost / bucket.rate
                if cost > bucket.depth and cost > bucket.biggest:
                    bucket.biggest, self.spec = cost, None
        for count, charge in zip(self.counts, charges[4:], strict=True):
            if count.limit:
                count.used, count.day = count.used_on(today), max(count.day, today)
                count.used += min(charge.cost, count.limit)

    def accept(self, work: float, now: int) -> None:
        """Take an answer down: *work* minutes of the limit, or a request while they are probed."""
        faded = self.accepted * exp((self.accepted_at - now) / ACCEPT_US)
        self.accepted, self.accepted_at = faded + work * MINUTE_US, now
        self.accepted_since = self.accepted_since or now
        if self.probe and self.buckets[0].full_at > now:
            self.probe += 60 * self._growth()
            self.spec = None

    def share_at(self, now: int) -> float:
        """-> what is left of the rate after cuts."""
        return min(1.0, self.cut + (now - self.cut_at) * self.recover)

    def held_us(self, now: int, sent_us: int) -> float:
        """-> for how long calls were accepted before one that was sent then is refused now."""
        return now - self.first - 2 * (now - sent_us) if self.first else 0.0

    def slow_down(self, now: int, recover_us: float, *, held_us: float) -> None:
        """Cut the rate to what was accepted of late, or take the last cut back."""
        m = 1.0 if self.probe else self.share_at(now)
        share = self._accepted_share(now)
        less = max(LEAST, min(m * GENTLE, max(m * BLIND, share * 0.97)))
        if self.probe:
            self.ceiling, self.probe = self.probe, max(1.0, self.probe * less)
            return
        if held_us >= HELD_US and m <= self.proven:
            less = self.uncut
        else:
            is_known = self.accepted_since and now - self.accepted_since >= PROVEN_AFTER_US
            self.uncut, self.proven = m, share if is_known else 0.0
        self.cut, self.cut_at, self.recover = less, now, recover_us

    def _growth(self) -> float:
        """Requests a minute more, a second, by a call that was answered."""
        if not self.ceiling:
            return DOUBLING
        share = self.probe / self.ceiling
        return REGAIN if share < 0.9 else CAREFUL if share < 1.1 else ONWARDS

    def _accepted_share(self, now: int) -> float:
        age = now - self.accepted_since
        if not self.accepted_since or age < KNOWN_AFTER_US:
            return 1.0
        faded = self.accepted * exp((self.accepted_at - now) / ACCEPT_US)
        share = faded / (ACCEPT_US * (1 - exp(-age / ACCEPT_US)))
        return share / self.probe if self.probe else share


def new_state(used: dict[Dimension, float], day: int) -> State:
    """Begin a scope or an account of which only is known what it used today."""
    minutes = [each for each in Dimension if each.window_s == 60]
    days = [each for each in Dimension if each.window_s != 60]
    counts = [Count(each, used=used.get(each, 0.0), day=day) for each in days]
    return State([Bucket(each) for each in minutes], counts)


Spec = tuple[float, tuple[float, ...], tuple[float, ...]]


def spec_of(scope: Scope) -> Spec:
    """Say what a scope's worker was configured with: burst in us, own limits, shared limits."""
    own, shared = dict(scope.limits), dict(scope.shared)
    return (
        scope.burst_s * 1e6,
        tuple(own.get(each, 0.0) for each in Dimension),
        tuple(shared.get(each, 0.0) for each in Dimension),
    )


def lower_of(limit: float, told: float) -> float:
    """-> the smaller one; 0 is none."""
    return min(limit or inf, told or inf) if limit or told else 0.0
