"""The scripts of one scope as calls: keys and arguments out, values back. No network here."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from typing import Any

import msgspec

from promptmill.schema.errors import ServiceError
from promptmill.schema.limit_day import day_offset_us
from promptmill.schema.limit_state import limit_keys, unpack_learned
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.charges import Charge, Charges, counts
from promptmill.workers.limits.learned import UNKNOWN_ANSWER, Learned, from_examples
from promptmill.workers.limits.limit import Booked, Dimension, Estimate, Scope, Seed, TooLarge
from promptmill.workers.limits.store import Arguments

HINT_SHARE = 0.4
"""Longest wait before a waiter asks again, as a share of its horizon."""

_ORDER = tuple(Dimension)
_pack = msgspec.msgpack.encode


class Request(msgspec.Struct, frozen=True, gc=False):
    """One waiter's question."""

    booking_id: str
    estimate: Estimate
    horizon_us: int
    turn: int = 0
    """Its place in the virtual queue; 0 = has none yet."""

    def with_turn(self, turn: int) -> "Request":
        """Ask the same question from another place."""
        return msgspec.structs.replace(self, turn=turn)


class Granted(msgspec.Struct, frozen=True, gc=False):
    """A booked start, in microseconds on the account's clock."""

    start_us: int
    plan: int
    serial: int
    before_us: int
    epoch: int
    costs: tuple[float, ...]


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Not now: ask again in *wait_us* with *turn*."""

    why: str
    """turn, cap, paused or day"""
    wait_us: int
    turn: int
    detail: str = ""
    """The reason of a pause, or the dimension whose day is used up."""


Answer = Granted | Refused | TooLarge
Expected = Sequence[tuple[Charge, ...]]
"""Charges by dimension, for each of some requests."""


@dataclass(frozen=True, slots=True)
class BookReply:
    """What `book` answered."""

    now_us: int
    answers: tuple[Answer, ...]


class Ledger:
    """Keys and arguments of one scope's scripts, and what was learned of its model."""

    def __init__(self, scope: Scope, kind: ProviderKind, *, prefix: str) -> None:
        self.keys = _keys(scope, prefix)
        self.id_prefix = blake2b(scope.shared_by.encode(), digest_size=3).hexdigest() + ":"
        """Begin of the ids of all bookings under these limits."""
        self.learned = Learned()
        self._kind = kind
        self.configure(scope)

    def configure(self, scope: Scope) -> None:
        """Take the limits of *scope* from now on."""
        self.scope = scope
        self.charges = Charges(self._kind, scope.charging)
        limits = [_by_place(dict(each)) for each in (scope.limits, scope.shared)]
        self._numbers = [_number(_pack((scope.burst_s, *some))) for some in (limits, limits[1:])]
        self._spec = _pack((scope.burst_s * 1e6, *limits))

    def seed(self, seed: Seed, *, epoch: int) -> Arguments:
        """Arguments of `seed`: what an empty store is told."""
        learned = from_examples(seed.examples)
        sums = learned.sums if learned.calls else ()
        own, shared = _by_place(seed.used_today), _by_place(seed.shared_today)
        return (_pack((epoch, self._offset_us(), own, shared, sums)),)

    def remember(self, raw: bytes | str | None) -> None:
        """Take over what was learned before, as it lies in the store."""
        self.learned = Learned(*unpack_learned(raw if isinstance(raw, bytes) else None))

    def expect(self, requests: Sequence[Request]) -> Expected:
        """Charge *requests* before they are made, by what is learned up to now."""
        return [self.charges.expected(each.estimate, self.learned) for each in requests]

    def book(self, requests: Sequence[Request], expected: Expected, *, lease_us: int) -> Arguments:
        """Arguments of `book` for *requests*, in their order."""
        limits = (self.scope.concurrency, lease_us, HINT_SHARE, self._offset_us())
        numbers: list[float] = [*self._numbers, *limits]
        for each, charges in zip(requests, expected, strict=True):
            numbers += (each.horizon_us, each.turn)
            numbers += [charge.cost for charge in charges]
            numbers += [charge.least for charge in charges]
        packed = struct.pack(f"<{len(numbers)}d", *numbers)
        return packed, self._spec, *(each.booking_id for each in requests)

    def read_book(self, expected: Expected, reply: bytes) -> BookReply | None:
        """Turn the reply of `book` into values; None: tell first what is known (`seed`)."""
        read = msgspec.msgpack.decode(reply)
        if not read:
            return None
        epoch, now_us, plan, *told = read
        answers = [
            _answer(charges, plan, epoch, *told[4 * place : 4 * place + 4])
            for place, charges in enumerate(expected)
        ]
        return BookReply(now_us, tuple(answers))

    def confirm(self, booked: Sequence[Booked], *, lease_us: int, late_us: int) -> Arguments:
        """Arguments of `confirm`."""
        records = [_record(each) for each in booked]
        return (_pack((lease_us, late_us, self._offset_us(), records)),)

    def settle(self, settled: Sequence[tuple[Booked, Usage | None]]) -> Arguments:
        """Arguments of `settle`; without usage the estimate stands."""
        entries = [self._settlement(booked, usage) for booked, usage in settled]
        return (_pack((self._offset_us(), entries)),)

    def read_settle(self, reply: bytes) -> tuple[bool, ...]:
        """Turn the reply of `settle` into whether each was settled, and keep what was learned."""
        answers, sums = msgspec.msgpack.decode(reply)
        if sums:
            self.learned = Learned(*sums)
        return tuple(bool(each) for each in answers)

    def cancel(self, booked: Sequence[Booked | str]) -> Arguments:
        """Arguments of `cancel`; by its id a booking of which no answer came: its lease goes."""
        records = [_nothing(each) if isinstance(each, str) else _record(each) for each in booked]
        return (_pack((self._offset_us(), records)),)

    def penalise(
        self,
        *,
        pause_us: int,
        cut: bool,
        recover_us: float,
        whole_account: bool,
        reason: str,
        lease_us: int,
        refused: Booked | None = None,
        ramp: bool = False,
    ) -> Arguments:
        """Arguments of `penalise`; *refused* is the booking of the call."""
        booking = (refused.plan, refused.epoch, refused.start_us) if refused else (0, 0, 0)
        own = (pause_us, cut, recover_us, whole_account, reason, lease_us, self.id_prefix)
        return (_pack((*own, *booking, ramp)),)

    def observe(self, limits: Mapping[str, float]) -> Arguments:
        """Arguments of `observe`: only dimensions that are counted here, and only real limits."""
        told = {
            each: limits[each]
            for each in _ORDER
            if counts(each, self._kind) and 0 < limits.get(each, 0) < inf
        }
        return (_pack((_by_place(told),)),)

    def renew(self, booking_ids: Sequence[str], *, lease_us: int) -> Arguments:
        """Arguments of `renew`."""
        return (_pack((lease_us, booking_ids)),)

    @staticmethod
    def resume() -> Arguments:
        """Arguments of `resume`."""
        return (_pack(()),)

    @staticmethod
    def read_flags(reply: bytes) -> tuple[bool, ...]:
        """Turn the reply of `confirm` or `cancel` into values."""
        return tuple(bool(each) for each in msgspec.msgpack.decode(reply))

    @staticmethod
    def read_number(reply: bytes) -> int:
        """Turn the reply of `resume` or `observe` into a number."""
        return int(msgspec.msgpack.decode(reply))

    def _settlement(self, booked: Booked, usage: Usage | None) -> object:
        if usage is None:
            return _record(booked), (), ()
        actuals = self.charges.settled(booked.estimate, usage)
        allowed = booked.estimate.max_output_tokens
        likely = UNKNOWN_ANSWER if allowed is None else allowed
        given, used = booked.estimate.input_tokens, self.charges.input_of(usage)
        lesson = (given, used, usage.output_tokens, allowed or 0, likely)
        return _record(booked), actuals, lesson

    def _offset_us(self) -> int:
        return day_offset_us(self.scope.day_starts)


def _keys(scope: Scope, prefix: str) -> tuple[str, str, str, str]:
    named = limit_keys(
        prefix,
        provider=scope.provider,
        account=scope.account,
        shared_by=scope.shared_by,
        model=scope.model,
    )
    return named.model, named.account, named.leases, named.learned


def _by_place(amounts: Mapping[Dimension, float]) -> tuple[float, ...]:
    return tuple(amounts.get(each, 0) for each in _ORDER)


def _number(packed: bytes) -> int:
    """Name a spec by a number that a double can hold, and that is not 0."""
    return 1 + int.from_bytes(blake2b(packed, digest_size=6).digest())


def _record(booked: Booked) -> tuple[object, ...]:
    """Write what bookings keep of themselves; see lua/records.lua."""
    return (
        booked.booking_id,
        booked.plan,
        booked.epoch,
        booked.start_us,
        booked.serial,
        booked.before_us,
        booked.costs,
    )


def _nothing(booking_id: str) -> tuple[object, ...]:
    """Write a record of a booking that may have been made, and of which nothing is known."""
    return booking_id, -1, -1, 0, 0, 0, _by_place({})


def _answer(charges: tuple[Charge, ...], plan: int, epoch: int, kind: str, *told: Any) -> Answer:
    first, second, third = told
    match kind:
        case "booked":
            void = second < 0
            costs = tuple(charge.cost for charge in charges)
            return Granted(first, -1 if void else plan, max(0, second), third, epoch, costs)
        case "large":
            return TooLarge(_ORDER[first - 1], second, third)
        case "turn" | "cap" | "paused" | "day":
            detail = _ORDER[third - 1] if kind == "day" else third
            return Refused(kind, first, second, detail)
    msg = f"the limiter answered {kind!r}"
    raise ServiceError(msg)
