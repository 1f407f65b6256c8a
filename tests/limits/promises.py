"""What the limiter promises: looked at from outside, by what was booked."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from promptmill.workers.limits.limit import Booked, Dimension
from tests.limits.model_state import Bucket, State

Meter = tuple[str, Dimension]
"""A limit: the key of the state that has it, and what it counts."""


@dataclass
class Admitted:
    """What went out, or will, under one limit."""

    starts: list[tuple[int, float, str]] = field(default_factory=list)
    """Start, cost and id of each booking, the earliest first."""
    rate: float = 0.0
    depth: float = 0.0
    """The largest there were."""
    given: float = 0.0
    """Known beforehand to be let through besides: refunds, deeper buckets, new lives."""


@dataclass
class Promises:
    """Keeps the books of one account."""

    admitted: dict[Meter, Admitted] = field(default_factory=lambda: defaultdict(Admitted))
    of_booking: dict[str, tuple[Meter, ...]] = field(default_factory=dict)
    """Where each booking was charged."""
    days: dict[Meter, tuple[int, float, float]] = field(default_factory=dict)
    """Day, what was booked on it, and what of that was given back."""

    def booked(
        self, booked: Booked, *, own: State, account: State | None, names: Sequence[str], day: int
    ) -> None:
        """Take a booking down, and check that it was allowed."""
        assert account is not None
        self.of_booking[booked.booking_id] = tuple(
            (name, each.dimension)
            for name, state in zip(names, (own, account), strict=True)
            for each in state.limits
            if each.limit
        )
        for name, state in zip(names, (own, account), strict=True):
            for bucket in state.bounded:
                cost = min(booked.costs[list(Dimension).index(bucket.dimension)], bucket.limit)
                self._admit((name, bucket.dimension), bucket, cost, booked)
                if state is own:
                    starts = [start for start, *_ in self.admitted[name, bucket.dimension].starts]
                    assert max(starts) == booked.start_us, "who books later starts later"
            for count in state.counted:
                cost = min(booked.costs[list(Dimension).index(count.dimension)], count.limit)
                self._count((name, count.dimension), day, cost, count.limit)

    def void(self, booked: Booked) -> None:
        """It will not be sent."""
        for meter in self._charged(booked):
            starts = self.admitted[meter].starts
            starts[:] = [each for each in starts if each[2] != booked.booking_id]

    def given_back(self, booked: Booked, *, refund: bool) -> None:
        """It will not be sent, and its permits are free again."""
        self.void(booked)
        if refund:
            self.settled(booked, (0,) * 6)

    def settled(self, booked: Booked, actuals: Sequence[int] | None) -> None:
        """Less may have been used than was booked."""
        if actuals is None:
            return
        for meter in self._charged(booked):
            place = list(Dimension).index(meter[1])
            refund = max(0.0, booked.costs[place] - actuals[place])
            if meter in self.days:
                day, total, back = self.days[meter]
                self.days[meter] = day, total, back + refund
            else:
                self.admitted[meter].given += refund

    def resumed(self, name: str) -> None:
        """What the buckets owed is forgotten."""
        for meter, admitted in self.admitted.items():
            if meter[0] == name:
                admitted.given += max((cost for _, cost, _ in admitted.starts), default=0.0)

    def set_back(self, by_us: int) -> None:
        """What was sent was sent *by_us* earlier, on a clock that went back unnoticed."""
        for admitted in self.admitted.values():
            starts = admitted.starts
            starts[:] = [(start - by_us, cost, name) for start, cost, name in starts]

    def new_life(self) -> None:
        """The store is empty: all its buckets are full."""
        for admitted in self.admitted.values():
            largest = max((cost for _, cost, _ in admitted.starts), default=0.0)
            admitted.given += max(admitted.depth, largest)
        self.days.clear()

    def _charged(self, booked: Booked) -> tuple[Meter, ...]:
        return self.of_booking.get(booked.booking_id, ())

    def _admit(self, meter: Meter, bucket: Bucket, cost: float, booked: Booked) -> None:
        """In any window W: admitted <= rate x W + depth or one oversize request + what was given.

        A token bucket knows no past: what an earlier call did not use is spent after it.
        """
        admitted = self.admitted[meter]
        admitted.rate = max(admitted.rate, bucket.limit * 0.995 / 60e6)
        if admitted.starts:
            admitted.given += max(0.0, bucket.depth - admitted.depth)
        admitted.depth = max(admitted.depth, bucket.depth)
        admitted.starts.append((booked.start_us, cost, booked.booking_id))
        admitted.starts.sort()
        self._check(admitted, booked.start_us)

    @staticmethod
    def _check(admitted: Admitted, start_us: int) -> None:
        """Check every window that holds *start_us*."""
        starts = admitted.starts
        for last, (end, _, _) in enumerate(starts):
            total, largest = 0.0, 0.0
            for begin, cost, _ in reversed(starts[: last + 1]) if end >= start_us else ():
                total += cost
                largest = max(largest, cost)
                allowed = admitted.rate * (end - begin) + max(admitted.depth, largest)
                assert total <= allowed + admitted.given + 1e-3, (total, allowed, admitted)

    def _count(self, meter: Meter, day: int, cost: float, limit: float) -> None:
        """On any day: booked <= limit + given back. A clock that goes back is on the same day."""
        was, total, back = self.days.get(meter, (day, 0.0, 0.0))
        if day > was:
            was, total, back = day, 0.0, 0.0
        self.days[meter] = was, total + cost, back
        assert total + cost <= limit + back, "a day's limit holds"
