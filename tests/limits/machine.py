"""A Hypothesis machine that runs the scripts and the model side by side, on an injected clock."""

import itertools
from collections.abc import Callable
from typing import Any

import redis
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from redis.commands.core import Script

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits import charges
from promptmill.workers.limits.ledger import (
    HINT_SHARE,
    Answer,
    Arguments,
    Granted,
    Ledger,
    Refused,
    Request,
)
from promptmill.workers.limits.limit import Dimension, Estimate, Scope, TooLarge
from promptmill.workers.limits.scripts import PARTS, script_text
from tests.limits.model import Model

LEASE_US = 30_000_000
LATE_US = 250_000
BULK_US, INTERACTIVE_US = 2_000_000, 10_000_000
NOON_US = 690 * 86_400_000_000 + 43_200_000_000
_prefixes = itertools.count()

Place = tuple[ProviderKind, Scope]

TIGHT: Place = (
    ProviderKind.OPENAI,
    Scope("openai", "tight", "a", ((Dimension.RPM, 600), (Dimension.TPM, 10_000)), 40),
)
WIDE: Place = (
    ProviderKind.ANTHROPIC,
    Scope(
        "anthropic",
        "wide",
        "a",
        ((Dimension.RPM, 1000), (Dimension.ITPM, 400_000), (Dimension.OTPM, 80_000)),
        40,
    ),
)
UNTOLD: Place = (ProviderKind.OPENAI, Scope("openai", "untold", "a", (), 40))
FEW: Place = (
    ProviderKind.OPENAI,
    Scope("openai", "few", "a", ((Dimension.RPM, 60_000), (Dimension.RPD, 4)), 3),
)
FREE: Place = (ProviderKind.GEMINI, Scope("gemini", "free", "a", ((Dimension.RPM, 5),), 40))

estimates = st.builds(
    Estimate,
    input_tokens=st.integers(1, 3000) | st.just(20_000),
    max_output_tokens=st.none() | st.integers(1, 3000),
)
spans_us = st.integers(0, 400_000) | st.integers(0, 5_000_000) | st.just(2 * LEASE_US)


def _same(text: str) -> str:
    return text


class LimiterMachine(RuleBasedStateMachine):
    """Whatever happens, the scripts do what the model does, and both keep the promises."""

    client: redis.Redis
    scripts: dict[str, Script]
    """Empty at first: one for each class of machine."""
    mutate: Callable[[str], str] = staticmethod(_same)
    places: tuple[Place, ...] = (TIGHT, WIDE, UNTOLD, FEW, FREE)

    def __init__(self) -> None:
        super().__init__()
        if not self.scripts:
            for name in PARTS:
                text = self.mutate(script_text(name))
                self.scripts[name] = self.client.register_script(text)
        self.now = NOON_US
        self.ids = itertools.count(1)
        self.lives = 0

    @initialize(data=st.data())
    def choose_scope(self, data: st.DataObject) -> None:
        self.kind, self.scope = data.draw(st.sampled_from(self.places))
        self.ledger = Ledger(self.scope, self.kind, prefix=f"machine{next(_prefixes)}:")
        self._begin_life()

    def _begin_life(self) -> None:
        self.lives += 1
        self.model = Model(self.scope, self.kind, LEASE_US)
        self.waiting: list[tuple[Request, Estimate]] = []
        self.confirmed: set[str] = set()
        self.open: dict[str, tuple[Request, Estimate, Granted]] = {}
        self.sent: list[tuple[int, dict[Dimension, float]]] = []
        self.refunded: dict[Dimension, float] = dict.fromkeys(self.ledger.dimensions, 0.0)
        self.quickest: dict[Dimension, tuple[float, float]] = {}
        self.ever_paused_until = 0

    @rule(span=spans_us)
    def time_passes(self, span: int) -> None:
        self.now += span

    @rule(asked=st.lists(estimates, min_size=1, max_size=4), urgent=st.booleans())
    def newcomers_ask(self, asked: list[Estimate], urgent: bool) -> None:
        horizon = INTERACTIVE_US if urgent else BULK_US
        fresh = [
            (Request(f"b{next(self.ids)}", self.ledger.charge(estimate), horizon), estimate)
            for estimate in asked
        ]
        self._ask(fresh)

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 5))
    def waiters_ask_again(self, count: int) -> None:
        again, self.waiting = self.waiting[:count], self.waiting[count:]
        self._ask(again)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_booking_is_asked_for_twice(self, data: st.DataObject) -> None:
        booking_id = data.draw(st.sampled_from(sorted(self.open)))
        request, _, granted = self.open[booking_id]
        if booking_id not in self.model.records:
            return
        _, _, *booked = self._stored()
        answer = self._call_book([request])[0]
        self.model.book([request], self.now)
        assert answer == granted, "a repeated call is booked once, and answered alike"
        assert self._stored()[2:] == tuple(booked)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), late_us=st.just(0) | st.integers(0, 2 * LATE_US))
    def a_booking_is_confirmed(self, data: st.DataObject, late_us: int) -> None:
        self._confirm(data.draw(st.sampled_from(sorted(self.open))), late_us)

    def _confirm(self, booking_id: str, late_us: int) -> None:
        _, _, granted = self.open[booking_id]
        self.now = max(self.now, granted.start_us + late_us)
        arguments = self.ledger.confirm(
            booking_id, now=str(self.now), epoch=self._epoch, lease_us=LEASE_US, late_us=LATE_US
        )
        go = self._run("confirm", arguments)
        assert go == self.model.confirm(booking_id, self.now)
        if go:
            assert self.model.paused(self.now)[0] == 0, "nothing goes out in a pause"
            assert self.now - granted.start_us <= LATE_US
            self.confirmed.add(booking_id)
        else:
            self._forget(booking_id)

    @precondition(lambda self: self.confirmed)
    @rule(
        data=st.data(),
        tokens=st.none() | st.tuples(st.integers(0, 4000), st.integers(0, 4000)),
    )
    def a_booking_is_settled(self, data: st.DataObject, tokens: tuple[int, int] | None) -> None:
        self._settle(data.draw(st.sampled_from(sorted(self.confirmed))), tokens)

    @precondition(lambda self: self.open.keys() - self.confirmed)
    @rule(tokens=st.integers(0, 400), estimate=estimates)
    def a_short_call_makes_room(self, tokens: int, estimate: Estimate) -> None:
        unsent = self.open.keys() - self.confirmed
        booking_id = min(unsent, key=lambda each: self.open[each][2].start_us)
        self._confirm(booking_id, 0)
        if booking_id in self.confirmed:
            self._settle(booking_id, (tokens, tokens))
            self.newcomers_ask([estimate], True)

    def _settle(self, booking_id: str, tokens: tuple[int, int] | None) -> None:
        self.confirmed.remove(booking_id)
        _, estimate, granted = self.open.pop(booking_id)
        usage = None if tokens is None else Usage(*tokens)
        arguments = self.ledger.settle(booking_id, estimate, usage, now=str(self.now))
        done = self._run("settle", arguments)
        assert done == self._settle_model(booking_id, estimate, usage)
        if usage is not None:
            for dimension, booked in zip(self.ledger.dimensions, granted.costs, strict=True):
                true = charges.settled(self.kind, dimension, estimate, usage)
                self.refunded[dimension] += max(0.0, booked - true)
        before = self._stored()
        assert self._run("settle", arguments) == 0, "settled twice"
        assert self._stored() == before

    @precondition(lambda self: self.open.keys() - self.confirmed)
    @rule(data=st.data())
    def a_booking_is_given_back(self, data: st.DataObject) -> None:
        booking_id = data.draw(st.sampled_from(sorted(self.open.keys() - self.confirmed)))
        done = self._run("cancel", self.ledger.cancel(booking_id, now=str(self.now)))
        assert done == self.model.cancel(booking_id, self.now)
        self._forget(booking_id)

    @precondition(lambda self: True in self.model.seen)
    @rule(
        pause_us=st.integers(0, 3_000_000) | st.integers(0, 60_000_000),
        cut=st.booleans(),
        whole=st.booleans(),
    )
    def the_provider_refuses(self, pause_us: int, cut: bool, whole: bool) -> None:
        arguments = self.ledger.penalise(
            now=str(self.now), pause_us=pause_us, cut=cut, whole_account=whole, reason="no"
        )
        before = self.model.plan
        plan = self._run("penalise", arguments)
        self.model.penalise(self.now, pause_us=pause_us, cut=cut, whole=whole, reason="no")
        assert plan == self.model.plan
        if plan > before:
            unsent = [self.open[each][2] for each in self.open.keys() - self.confirmed]
            self.sent = [sent for sent in self.sent if sent not in map(self._priced, unsent)]

    @precondition(lambda self: True in self.model.seen)
    @rule(estimate=estimates, again_us=st.integers(0, 5_000_000))
    def calls_in_flight_fail_together(self, estimate: Estimate, again_us: int) -> None:
        self.the_provider_refuses(100_000, True, False)
        known = set(self.open)
        self.newcomers_ask([estimate], True)
        self.the_provider_refuses(again_us, True, False)
        for booking_id in sorted(self.open.keys() - known):
            self._confirm(booking_id, 0)

    @rule()
    def somebody_resumes(self) -> None:
        arguments = (str(self.now), b"", b"")
        ended = sum(self.scripts["resume"]([key], arguments) for key in self.ledger.keys[:2])
        assert ended == self.model.resume(self.now)

    @rule(share=st.sampled_from((0.5, 0.8, 1.5)))
    def headers_tell_a_limit(self, share: float) -> None:
        configured = dict(self.scope.limits)
        told = {
            dimension.value: float(round(share * configured.get(dimension, 3000)))
            for dimension in self.ledger.dimensions[:2]
        }
        self._run("observe", self.ledger.observe(told, now=str(self.now)))
        self.model.observe(told, self.now)

    @precondition(lambda self: self.lives < 3)
    @rule()
    def the_store_is_emptied(self) -> None:
        lost = list(self.open)
        epoch = self._epoch
        self.client.delete(*self.ledger.keys)
        self._begin_life()
        for booking_id in lost:
            arguments = self.ledger.confirm(
                booking_id, now=str(self.now), epoch=epoch, lease_us=LEASE_US, late_us=LATE_US
            )
            assert self._run("confirm", arguments) == 0, "what was booked before is void"

    @precondition(lambda self: self.open)
    @rule()
    def a_worker_beats(self) -> None:
        alive = [each for each in self.open if each in self.model.records]
        for booking_id in alive:
            self.model.records[booking_id].expires = self.now + LEASE_US
        self._run("renew", self.ledger.renew(alive, now=str(self.now), lease_us=LEASE_US))
        self.model.bury(self.now)

    @rule(back_us=st.integers(0, 4_000_000_000))
    def the_clock_goes_back(self, back_us: int) -> None:
        self.now -= back_us
        self.sent.clear()  # windows over a clock that jumps mean nothing
        self.quickest.clear()

    def _ask(self, asked: list[tuple[Request, Estimate]]) -> None:
        requests = [request for request, _ in asked]
        answers = self._call_book(requests)
        assert answers == self.model.book(requests, self.now)
        for (request, estimate), answer in zip(asked, answers, strict=True):
            note(f"{request.booking_id} at {self.now}: {answer}")
            match answer:
                case Granted():
                    self._granted(request, estimate, answer)
                case Refused():
                    self._refused(request, answer)
                    self.waiting.append((request.with_turn(answer.turn), estimate))
                case TooLarge():
                    assert answer.cost > answer.limit

    def _granted(self, request: Request, estimate: Estimate, granted: Granted) -> None:
        assert granted.start_us >= self.now
        assert len(self.model.records) <= self.scope.concurrency
        left, _ = self.model.paused(self.now)
        assert granted.start_us >= self.now + left, "nothing is booked into a pause"
        for start, _ in self.sent:
            assert granted.start_us >= start, "who books later starts later"
        self.open[request.booking_id] = (request, estimate, granted)
        self.sent.append(self._priced(granted))
        for bucket, limit in self.model.bounded():
            if not bucket.daily:
                self._check_windows(bucket.dimension, limit)

    def _check_windows(self, dimension: Dimension, limit: float) -> None:
        """In any window W: admitted <= rate x W + depth + one oversize request + given back.

        A token bucket knows no past: what an earlier call did not use is spent after it.
        """
        rate, depth = self.quickest.get(dimension, (0.0, 0.0))
        rate = max(rate, limit * 0.995 / 60e6)
        depth = max(depth, limit / 240, 1.0)
        self.quickest[dimension] = rate, depth
        admitted, largest, end = 0.0, 0.0, self.sent[-1][0]
        for start, costs in reversed(self.sent):
            admitted += costs[dimension]
            largest = max(largest, costs[dimension])
            allowed = rate * (end - start) + depth + largest + self.refunded[dimension]
            assert admitted <= allowed + 1e-3

    def _refused(self, request: Request, refused: Refused) -> None:
        if refused.why == "turn":
            assert 0 < refused.wait_us <= request.horizon_us * HINT_SHARE + 1
        if refused.why == "cap":
            assert len(self.model.records) == self.scope.concurrency

    def _forget(self, booking_id: str) -> None:
        """It will not be sent: its permits are free again."""
        self.confirmed.discard(booking_id)
        priced = self._priced(self.open.pop(booking_id)[2])
        for dimension, cost in priced[1].items():
            self.refunded[dimension] += cost
        if priced in self.sent:
            self.sent.remove(priced)

    def _priced(self, granted: Granted) -> tuple[int, dict[Dimension, float]]:
        return granted.start_us, dict(zip(self.ledger.dimensions, granted.costs, strict=True))

    def _settle_model(self, booking_id: str, estimate: Estimate, usage: Usage | None) -> bool:
        names = self.ledger.dimensions
        charged = self.ledger.charge(estimate)
        expected = {name: each.cost for name, each in zip(names, charged, strict=True)}
        actual = None
        if usage is not None:
            actual = {name: charges.settled(self.kind, name, estimate, usage) for name in names}
        return self.model.settle(booking_id, expected, actual, self.now)

    def _call_book(self, requests: list[Request]) -> list[Answer]:
        arguments = self.ledger.book(
            requests, now=str(self.now), epoch=f"life{self.lives}", lease_us=LEASE_US
        )
        reply = self.ledger.read_book(self._run("book", arguments))
        assert reply.epoch == self._epoch
        return list(reply.answers)

    def _run(self, name: str, arguments: Arguments) -> Any:
        return self.scripts[name](self.ledger.keys, arguments)

    def _stored(self) -> tuple[Any, ...]:
        scope, account, leases, bookings = self.ledger.keys
        return (
            self.client.get(scope),
            self.client.get(account),
            self.client.zrange(leases, 0, -1, withscores=True),
            self.client.hgetall(bookings),
        )

    @property
    def _epoch(self) -> str:
        return f"life{self.lives}"
