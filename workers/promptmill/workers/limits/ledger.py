"""The scripts of one scope as calls: keys and arguments out, values back. No network here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits import charges
from promptmill.workers.limits.charges import Charge
from promptmill.workers.limits.limit import Dimension, Estimate, Scope, TooLarge

HINT_SHARE = 0.4
"""Longest wait before a waiter asks again, as a share of its horizon."""

Argument = str | int | float


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
        self._dimension_arguments = self._describe_dimensions()

    def charge(self, estimate: Estimate) -> tuple[Charge, ...]:
        """Charge *estimate* in each of `dimensions`."""
        return tuple(charges.expected(self.kind, each, estimate) for each in self.dimensions)

    def book(
        self, requests: Sequence[Request], *, now: str, epoch: str, lease_us: int
    ) -> list[Argument]:
        """Arguments of `book` for *requests*, in their order."""
        arguments = self._open(now)
        arguments += (epoch, self.scope.concurrency, lease_us, HINT_SHARE)
        for request in requests:
            arguments += (request.booking_id, request.horizon_us, request.turn)
            for charge in request.charges:
                arguments += (charge.cost, charge.least)
        return arguments

    def confirm(
        self, booking_id: str, *, now: str, epoch: str, lease_us: int, late_us: int
    ) -> list[Argument]:
        """Arguments of `confirm`."""
        return [*self._open(now), booking_id, epoch, lease_us, late_us]

    def settle(
        self, booking_id: str, estimate: Estimate, usage: Usage | None, *, now: str
    ) -> list[Argument]:
        """Arguments of `settle`; without usage the estimate stands."""
        arguments = [*self._open(now), booking_id]
        for dimension in self.dimensions:
            expected = charges.expected(self.kind, dimension, estimate)
            actual = -1 if usage is None else charges.settled(self.kind, dimension, estimate, usage)
            arguments += (actual, expected.cost)
        return arguments

    def cancel(self, booking_id: str, *, now: str) -> list[Argument]:
        """Arguments of `cancel`."""
        return [*self._open(now), booking_id]

    def penalise(
        self, *, now: str, pause_us: int, cut: bool, whole_account: bool, reason: str
    ) -> list[Argument]:
        """Arguments of `penalise`."""
        return [*self._open(now), pause_us, int(cut), int(whole_account), reason]

    def level(self, *, now: str) -> list[Argument]:
        """Arguments of `level`."""
        return self._open(now)

    def observe(self, limits: Mapping[str, float], *, now: str) -> list[Argument]:
        """Arguments of `observe`: only dimensions that are counted here, and only real limits."""
        arguments: list[Argument] = [now]
        for dimension in self.dimensions:
            limit = limits.get(dimension.value, 0.0)
            if 0 < limit < float("inf"):
                arguments += (dimension.value, limit)
        return arguments

    def read_book(self, reply: Sequence[Any]) -> BookReply:
        """Turn the reply of `book` into values."""
        epoch, now_us, _plan, *answers = reply
        return BookReply(_text(epoch), now_us, tuple(self._read_answer(each) for each in answers))

    def _read_answer(self, answer: Sequence[Any]) -> Answer:
        match _text(answer[0]):
            case "booked":
                return Granted(answer[1], answer[2], tuple(float(cost) for cost in answer[3:]))
            case "large":
                return TooLarge(Dimension(_text(answer[1])), float(answer[2]), float(answer[3]))
            case why:
                detail = _text(answer[3]) if len(answer) > 3 else ""
                return Refused(why, answer[1], answer[2], detail)

    def _open(self, now: str) -> list[Argument]:
        return [now, *self._dimension_arguments]

    def _describe_dimensions(self) -> list[Argument]:
        configured = dict(self.scope.limits)
        arguments: list[Argument] = [len(self.dimensions)]
        for dimension in self.dimensions:
            day = dimension.window_s == 86_400
            kind = "token" if charges.is_learned(dimension) else "request"
            arguments += (
                dimension.value,
                "day" if day else kind,
                configured.get(dimension, 0),
                dimension.window_s * 1_000_000,
                charges.day_offset_s(self.kind) * 1_000_000 if day else 0,
                int(charges.is_learned(dimension)),
            )
        return arguments


def account_prefix(prefix: str, provider: str, account: str) -> str:
    """Begin of all keys of an account. The braces keep them in one slot of a Redis Cluster."""
    return f"{prefix}limits:{{{provider}:{account}}}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
