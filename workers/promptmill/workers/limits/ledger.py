"""The scripts of one scope as calls: keys and arguments out, values back. No network here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import msgspec

from promptmill.schema.errors import ServiceError
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits import charges
from promptmill.workers.limits.charges import Charge
from promptmill.workers.limits.limit import Dimension, Estimate, Scope, TooLarge

HINT_SHARE = 0.4
"""Longest wait before a waiter asks again, as a share of its horizon."""

Arguments = tuple[str, bytes, bytes]
"""ARGV of every script: now, dimensions, own arguments; see lua/state.lua."""


@dataclass(frozen=True, slots=True)
class Request:
    """One waiter's question."""

    booking_id: str
    charges: tuple[Charge, ...]
    horizon_us: int
    turn: int = 0
    """Its place in the virtual queue; 0 = has none yet."""

    def with_turn(self, turn: int) -> "Request":
        """Ask the same question from another place."""
        return replace(self, turn=turn)


@dataclass(frozen=True, slots=True)
class Granted:
    """A booked start, in microseconds on the server's clock."""

    start_us: int
    plan: int
    costs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Not now: ask again in *wait_us* with *turn*."""

    why: str
    """turn, cap, paused or day"""
    wait_us: int
    turn: int
    detail: str = ""
    """The reason of a pause, or the dimension whose day is used up."""


Answer = Granted | Refused | TooLarge


@dataclass(frozen=True, slots=True)
class BookReply:
    """What `book` answered."""

    epoch: str
    now_us: int
    answers: tuple[Answer, ...]


class Ledger:
    """Keys and arguments of one scope's scripts."""

    def __init__(self, scope: Scope, kind: ProviderKind, *, prefix: str) -> None:
        self.scope, self.kind = scope, kind
        account = account_prefix(prefix, scope.provider, scope.account)
        self.keys = (
            f"{account}:model:{scope.model}",
            f"{account}:account",
            f"{account}:leases",
            f"{account}:bookings",
        )
        self.dimensions = charges.dimensions(kind, (dimension for dimension, _ in scope.limits))
        described = [self._describe(each) for each in self.dimensions]
        self._packed_dimensions = msgspec.msgpack.encode(described)

    def charge(self, estimate: Estimate) -> tuple[Charge, ...]:
        """Charge *estimate* in each of `dimensions`."""
        return tuple(charges.expected(self.kind, each, estimate) for each in self.dimensions)

    def book(
        self, requests: Sequence[Request], *, now: str, epoch: str, lease_us: int
    ) -> Arguments:
        """Arguments of `book` for *requests*, in their order."""
        asked = [
            (
                each.booking_id,
                each.horizon_us,
                each.turn,
                [charge.cost for charge in each.charges],
                [charge.least for charge in each.charges],
            )
            for each in requests
        ]
        return self._pack(now, (epoch, self.scope.concurrency, lease_us, HINT_SHARE, asked))

    def confirm(
        self, booking_id: str, *, now: str, epoch: str, lease_us: int, late_us: int
    ) -> Arguments:
        """Arguments of `confirm`."""
        return self._pack(now, (booking_id, epoch, lease_us, late_us))

    def settle(
        self, booking_id: str, estimate: Estimate, usage: Usage | None, *, now: str
    ) -> Arguments:
        """Arguments of `settle`; without usage the estimate stands."""
        actuals: list[int] = []
        if usage is not None:
            actuals = [
                charges.settled(self.kind, dimension, estimate, usage)
                for dimension in self.dimensions
            ]
        estimates = [charge.cost for charge in self.charge(estimate)]
        return self._pack(now, (booking_id, actuals, estimates))

    def cancel(self, booking_id: str, *, now: str) -> Arguments:
        """Arguments of `cancel`."""
        return self._pack(now, (booking_id,))

    def penalise(
        self, *, now: str, pause_us: int, cut: bool, whole_account: bool, reason: str
    ) -> Arguments:
        """Arguments of `penalise`."""
        return self._pack(now, (pause_us, cut, whole_account, reason))

    def observe(self, limits: Mapping[str, float], *, now: str) -> Arguments:
        """Arguments of `observe`: only dimensions that are counted here, and only real limits."""
        told = {name: limits[name] for name in self.dimensions if name in limits}
        return self._pack(now, {name: limit for name, limit in told.items() if 0 < limit < inf})

    def renew(self, booking_ids: Sequence[str], *, now: str, lease_us: int) -> Arguments:
        """Arguments of `renew`."""
        return self._pack(now, (lease_us, booking_ids))

    def level(self, *, now: str) -> Arguments:
        """Arguments of `level`."""
        return self._pack(now, ())

    def read_book(self, reply: bytes) -> BookReply:
        """Turn the reply of `book` into values."""
        epoch, now_us, _plan, answers = msgspec.msgpack.decode(reply)
        return BookReply(epoch, now_us, tuple(_read_answer(each) for each in answers))

    def _pack(self, now: str, own: object) -> Arguments:
        return now, self._packed_dimensions, msgspec.msgpack.encode(own)

    def _describe(self, dimension: Dimension) -> tuple[str, str, float, int, int, bool]:
        day = dimension.window_s == 86_400
        learned = charges.is_learned(dimension)
        return (
            dimension.value,
            "day" if day else "token" if learned else "request",
            dict(self.scope.limits).get(dimension, 0),
            dimension.window_s * 1_000_000,
            charges.day_offset_s(self.kind) * 1_000_000 if day else 0,
            learned,
        )


def _read_answer(answer: Sequence[Any]) -> Answer:
    match answer:
        case ("booked", start_us, plan, costs):
            return Granted(start_us, plan, tuple(costs))
        case ("large", dimension, cost, limit):
            return TooLarge(Dimension(dimension), cost, limit)
        case (why, wait_us, turn, *detail):
            return Refused(why, wait_us, turn, *detail)
    msg = f"the limiter answered {answer!r}"
    raise ServiceError(msg)


def account_prefix(prefix: str, provider: str, account: str) -> str:
    """Begin of all keys of an account. The braces keep them in one slot of a Redis Cluster."""
    return f"{prefix}limits:{{{provider}:{account}}}"
