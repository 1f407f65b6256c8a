"""The limiter's rules once more, in plain Python, for one scope: what the scripts must do.

All times are microseconds, as in the scripts. Nothing here is shared with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, exp, floor

from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.charges import day_offset_s, dimensions, is_learned
from promptmill.workers.limits.ledger import Answer, Granted, Refused, Request
from promptmill.workers.limits.limit import Dimension, Scope, TooLarge

NEVER = float("-inf")


@dataclass
class Bucket:
    """One dimension."""

    dimension: Dimension
    configured: float | None
    offset_us: int
    told: float | None = None
    full_at: float = 0.0
    rate: float = 0.0
    """At which it drains until then, a microsecond."""
    biggest: float = 0.0
    true_sum: float = 0.0
    estimated_sum: float = 0.0
    day: int = -1
    used: float = 0.0

    @property
    def daily(self) -> bool:
        return self.dimension.window_s == 86_400

    @property
    def window_us(self) -> int:
        return self.dimension.window_s * 1_000_000

    @property
    def known(self) -> float | None:
        limits = [limit for limit in (self.configured, self.told) if limit is not None]
        return min(limits, default=None)

    @property
    def ratio(self) -> float:
        if not is_learned(self.dimension) or self.estimated_sum <= 0:
            return 1.0
        return min(4.0, max(0.02, self.true_sum / self.estimated_sum))

    def depth(self, limit: float) -> float:
        quarter = limit * 250_000 / self.window_us
        return max(1.0, quarter) if self.dimension is Dimension.RPM else quarter

    def full_rate(self, limit: float) -> float:
        depth = self.depth(limit)
        spare = depth - 1 if self.dimension is Dimension.RPM else max(depth, self.biggest)
        return max(limit * 0.995 - spare, limit / 2) / self.window_us

    def keep_pace(self, limit: float, multiplier: float, since: float) -> None:
        """Drain at the rate of now: debt is tokens, not time."""
        rate = self.full_rate(limit) * multiplier
        if self.rate and self.full_at > since:
            self.full_at = since + (self.full_at - since) * self.rate / rate
        self.rate = rate

    def day_of(self, at: float) -> int:
        return floor((at - self.offset_us) / self.window_us)

    def used_on(self, day: int) -> float:
        return self.used if day <= self.day else 0.0


@dataclass
class Record:
    """What is booked or in flight."""

    start: int
    plan: int
    before: float
    costs: dict[Dimension, float]
    expires: float


@dataclass
class Model:
    """One scope of one account on a store of its own."""

    scope: Scope
    kind: ProviderKind
    lease_us: int
    buckets: dict[Dimension, Bucket] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    last: float = 0.0
    latest: str | None = None
    queued: float = 0.0
    served: float = 0.0
    plans: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    punished: dict[bool, float] = field(default_factory=lambda: {False: NEVER, True: NEVER})
    pauses: dict[bool, tuple[float, str]] = field(
        default_factory=lambda: {False: (0.0, ""), True: (0.0, "")}
    )
    """Of the scope (False) and of the whole account (True)."""
    cut: float | None = None
    cut_at: float = 0.0
    accepted: float = 0.0
    accepted_at: float | None = None
    accepted_since: float | None = None
    probe: float = 600.0
    seen: dict[bool, int] = field(default_factory=dict)
    """When the scope (False) and the account (True) were last written."""

    def __post_init__(self) -> None:
        configured = dict(self.scope.limits)
        offset = day_offset_s(self.kind) * 1_000_000
        for dimension in dimensions(self.kind, configured):
            self.buckets[dimension] = Bucket(
                dimension,
                configured.get(dimension),
                offset if dimension.window_s == 86_400 else 0,
            )

    @property
    def plan(self) -> int:
        return sum(self.plans.values())

    @property
    def probing(self) -> bool:
        return all(each.known is None or each.daily for each in self.buckets.values())

    def limit(self, bucket: Bucket) -> float | None:
        if bucket.dimension is Dimension.RPM and self.probing:
            return self.probe
        return bucket.known

    def bounded(self) -> list[tuple[Bucket, float]]:
        """All dimensions with a limit, in their order."""
        found = [(bucket, self.limit(bucket)) for bucket in self.buckets.values()]
        return [(bucket, limit) for bucket, limit in found if limit is not None]

    def multiplier(self, now: int) -> float:
        if self.cut is None:
            return 1.0
        return min(1.0, self.cut + max(0.0, now - self.cut_at) * (0.002 / 1e6))

    def paused(self, now: int) -> tuple[float, str]:
        left, whole = max((until - now, whole) for whole, (until, _) in self.pauses.items())
        return (left, self.pauses[whole][1]) if left > 0 else (0.0, "")

    def follow(self, now: int) -> None:
        """Go back with a clock that went back. Call this before every move."""
        for whole, seen in self.seen.items():
            if seen - now >= 1_000_000:
                till, why = self.pauses[whole]
                self.pauses[whole] = (till - (seen - now), why)
                self.punished[whole] -= seen - now
                self.seen[whole] = now
                if not whole:
                    self._rewind(seen - now)

    def _rewind(self, by_us: int) -> None:
        self.last -= by_us
        self.cut_at -= by_us
        if self.accepted_at is not None and self.accepted_since is not None:
            self.accepted_at -= by_us
            self.accepted_since -= by_us
        for bucket in self.buckets.values():
            bucket.full_at -= by_us

    def keep_pace(self, now: int) -> None:
        for bucket, limit in self.bounded():
            if not bucket.daily:
                bucket.keep_pace(limit, self.multiplier(now), max(now, self.last))

    def book(self, requests: Sequence[Request], now: int) -> list[Answer]:
        self.follow(now)
        self.seen = {True: now, **self.seen, False: now}
        self.keep_pace(now)
        if len(self.records) + len(requests) > self.scope.concurrency:
            self.bury(now)
        had = [request.booking_id in self.records for request in requests]
        return [
            self._again(request) if repeated else self._book(request, now)
            for request, repeated in zip(requests, had, strict=True)
        ]

    def confirm(self, booking_id: str, now: int) -> bool:
        self.follow(now)
        record = self.records.get(booking_id)
        if record is None:
            return False
        left, _ = self.paused(now)
        if record.plan == self.plan and left == 0 and now - record.start <= 250_000:
            record.expires = now + self.lease_us
            return True
        self.cancel(booking_id, now)
        return False

    def cancel(self, booking_id: str, now: int) -> bool:
        self.follow(now)
        record = self.records.pop(booking_id, None)
        if record is None:
            return False
        self.seen[False] = now
        self.keep_pace(now)
        for bucket, _ in self.bounded():
            self._recharge(bucket, record, -record.costs.get(bucket.dimension, 0.0), now)
        if record.plan == self.plan and self.latest == booking_id:
            self.last = record.before
        return True

    def settle(
        self,
        booking_id: str,
        estimates: dict[Dimension, int],
        actuals: dict[Dimension, int] | None,
        now: int,
    ) -> bool:
        self.follow(now)
        record = self.records.pop(booking_id, None)
        if record is None or actuals is None:
            return record is not None
        self.seen[False] = now
        self.keep_pace(now)
        work = 0.0
        for bucket, limit in self.bounded():
            actual, estimate = actuals[bucket.dimension], estimates[bucket.dimension]
            booked = record.costs.get(bucket.dimension, 0.0)
            probed = self.probing and not bucket.daily
            if is_learned(bucket.dimension) and estimate > 0:
                self._learn(bucket, actual, estimate)
            if not bucket.daily:
                rate = 1 / bucket.window_us if probed else bucket.full_rate(limit)
                work = max(work, actual / rate)
            if booked > 0:
                self._recharge(bucket, record, actual - booked, now)
            if probed and self.multiplier(now) >= 1 and bucket.full_at > now:
                self.probe = limit + 18
        since = now if self.accepted_at is None else self.accepted_at
        self.accepted = self.accepted * exp((since - now) / 15e6) + work
        self.accepted_at = now
        self.accepted_since = now if self.accepted_since is None else self.accepted_since
        return True

    def penalise(self, now: int, *, pause_us: int, cut: bool, whole: bool, reason: str) -> None:
        self.follow(now)
        self.seen[False] = self.seen[whole] = now
        self.keep_pace(now)
        if now + pause_us >= self.pauses[whole][0]:
            self.pauses[whole] = (now + pause_us, reason)
        till = max(self.pauses[whole][0], now)
        multiplier = self.multiplier(now)
        void = {
            bucket.dimension: sum(
                record.costs.get(bucket.dimension, 0.0)
                for record in self.records.values()
                if record.plan == self.plan and record.start > now
            )
            for bucket, _ in self.bounded()
        }
        episode = now - self.punished[whole] >= 2_000_000
        if episode:
            self.plans[whole] += 1
            self.punished[whole] = now
            if cut:
                lowest = max(multiplier * 0.5, self._accepted_share(now) * 0.97)
                multiplier = max(0.05, min(multiplier * 0.95, lowest))
                self.cut, self.cut_at = multiplier, now
        if episode:
            self.last, self.latest = now, None
        for bucket, limit in self.bounded():
            if not bucket.daily:
                if episode:
                    bucket.full_at -= void[bucket.dimension] / bucket.rate
                bucket.keep_pace(limit, multiplier, max(now, self.last))
                bucket.full_at = max(bucket.full_at, till + bucket.depth(limit) / bucket.rate)

    def resume(self, now: int) -> int:
        self.follow(now)
        ended = sum(until > now for until, _ in self.pauses.values())
        self.pauses = {False: (0.0, ""), True: (0.0, "")}
        self.seen = dict.fromkeys(self.seen, now)
        return ended

    def observe(self, told: dict[str, float], now: int) -> None:
        self.follow(now)
        for name, limit in told.items():
            if self.buckets[Dimension(name)].told != limit:
                self.buckets[Dimension(name)].told = limit
                self.seen[False] = now

    def _accepted_share(self, now: int) -> float:
        if self.accepted_at is None or self.accepted_since is None:
            return 0.0
        age = now - self.accepted_since
        if age < 3_000_000:
            return 0.0
        share = (
            self.accepted * exp((self.accepted_at - now) / 15e6) / (15e6 * (1 - exp(-age / 15e6)))
        )
        if self.probing:
            rpm = self.buckets[Dimension.RPM]
            share /= rpm.full_rate(self.probe) * rpm.window_us
        return share

    def _again(self, request: Request) -> Granted:
        record = self.records[request.booking_id]
        costs = tuple(record.costs.get(dimension, 0) for dimension in self.buckets)
        return Granted(record.start, record.plan, costs)

    def _book(self, request: Request, now: int) -> Answer:
        charges = dict(zip(self.buckets, request.charges, strict=True))
        for bucket, limit in self.bounded():
            if charges[bucket.dimension].least > limit:
                least = charges[bucket.dimension].least
                return TooLarge(bucket.dimension, ceil(least), floor(limit))
        costs = {
            bucket.dimension: float(
                min(ceil(charges[bucket.dimension].cost * bucket.ratio), floor(limit))
            )
            for bucket, limit in self.bounded()
        }
        left, why = self.paused(now)
        start, base, own = self._earliest(costs, now + left, now)
        multiplier = self.multiplier(now)
        turn = request.turn
        if left > request.horizon_us:
            return Refused("paused", ceil(left), self._turn(turn, own, multiplier), why)
        spent = self._spent_day(costs, now)
        if spent is not None:
            bucket, wait_us = spent
            return Refused("day", wait_us, turn, bucket.dimension.value)
        ahead = base - now
        if not self._is_next(turn, ahead, request.horizon_us, multiplier):
            turn = self._turn(turn, own, multiplier)
            wait = (turn - self.served) / multiplier + ahead - request.horizon_us
            wait = min(max(wait, own / 2), request.horizon_us * 0.4)
            return Refused("turn", ceil(wait), turn)
        if len(self.records) >= self.scope.concurrency:
            return Refused("cap", 0, turn)
        self.served = max(self.served, turn)
        record = Record(start, self.plan, self.last, costs, start + self.lease_us)
        self.records[request.booking_id] = record
        self._charge(costs, start, now)
        self.last, self.latest = start, request.booking_id
        return self._again(request)

    def _earliest(
        self, costs: dict[Dimension, float], open_at: float, now: int
    ) -> tuple[int, float, float]:
        base = max(open_at, self.last)
        start, own = base, 0.0
        for bucket, limit in self.bounded():
            if not bucket.daily:
                rate = bucket.full_rate(limit) * self.multiplier(now)
                depth, cost = bucket.depth(limit), costs[bucket.dimension]
                empty = bucket.full_at - depth / rate
                base = max(base, empty)
                start = max(start, empty + min(cost, depth) / rate)
                own = max(own, cost / rate)
        return ceil(start), base, own

    def _spent_day(self, costs: dict[Dimension, float], now: int) -> tuple[Bucket, int] | None:
        spent = None
        for bucket, limit in self.bounded():
            if bucket.daily:
                day = bucket.day_of(now)
                if bucket.used_on(day) + costs[bucket.dimension] > limit:
                    reset = (day + 1) * bucket.window_us + bucket.offset_us - now
                    spent = bucket, ceil(reset)
        return spent

    def _is_next(self, turn: int, ahead: float, horizon_us: int, multiplier: float) -> bool:
        if ahead <= horizon_us / 2:
            return True
        if ahead > horizon_us:
            return False
        if turn == 0:
            return self.queued <= self.served
        return (turn - self.served) / multiplier <= horizon_us - ahead

    def _turn(self, turn: int, own: float, multiplier: float) -> int:
        if turn == 0:
            self.queued = ceil(max(self.queued, self.served) + own * multiplier)
            return int(self.queued)
        return turn

    def _charge(self, costs: dict[Dimension, float], start: int, now: int) -> None:
        for bucket, limit in self.bounded():
            cost = costs[bucket.dimension]
            if bucket.daily:
                day = max(bucket.day_of(start), bucket.day)
                bucket.used, bucket.day = bucket.used_on(day) + cost, day
            else:
                bucket.full_at = max(bucket.full_at, start) + cost / bucket.rate
                bucket.biggest = max(cost, bucket.biggest * 0.999)
                bucket.keep_pace(limit, self.multiplier(now), start)

    def _recharge(self, bucket: Bucket, record: Record, delta: float, now: int) -> None:
        limit = self.limit(bucket)
        assert limit is not None
        if bucket.daily:
            if bucket.day == bucket.day_of(record.start):
                bucket.used = max(0.0, bucket.used + delta)
        elif record.plan == self.plan:
            bucket.full_at += delta / (bucket.full_rate(limit) * self.multiplier(now))

    def _learn(self, bucket: Bucket, actual: int, estimate: int) -> None:
        if bucket.estimated_sum == 0:
            bucket.true_sum = bucket.estimated_sum = 3.0 * estimate
        bucket.true_sum = bucket.true_sum * 0.98 + actual
        bucket.estimated_sum = bucket.estimated_sum * 0.98 + estimate

    def bury(self, now: int) -> None:
        """Forget whose lease ran out, or lies an age ahead since the clock went back."""
        self.records = {
            booking_id: record
            for booking_id, record in self.records.items()
            if now < record.expires < now + 3_600_000_000
        }
