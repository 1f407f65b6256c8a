"""A Hypothesis machine that runs the scripts and the model side by side, on an injected clock."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from math import isclose
from typing import Any

import redis
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from redis.commands.core import Script

from promptmill.schema.limit_state import unpack_learned, unpack_state
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.charges import Charge
from promptmill.workers.limits.ledger import (
    HINT_SHARE,
    Answer,
    Granted,
    Ledger,
    Refused,
    Request,
)
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Example,
    Scope,
    Seed,
    TooLarge,
)
from promptmill.workers.limits.scripts import NAMES, script_text
from promptmill.workers.limits.store import Arguments
from tests.limits.model import At, Model, State
from tests.limits.promises import Promises

LEASE_US = 30_000_000
LATE_US = 250_000
BULK_US, INTERACTIVE_US = 2_000_000, 10_000_000
RECOVER_US = 0.002 / 1e6
DAY_US = 86_400_000_000
MORNING_US = 690 * DAY_US + 9 * 3_600_000_000
_prefixes = itertools.count()

RPM, TPM, ITPM, OTPM, RPD, TPD = Dimension


@dataclass(frozen=True)
class Place:
    """An account with some models."""

    kind: ProviderKind
    scopes: tuple[Scope, ...]


def _place(kind: ProviderKind, *scopes: dict[str, Any], **common: Any) -> Place:
    common = {"provider": kind.value, "account": "a", "concurrency": 40, "limits": ()} | common
    return Place(
        kind, tuple(Scope(**{"model": f"m{i}"} | common | s) for i, s in enumerate(scopes))
    )


OPENAI, ANTHROPIC, GEMINI = ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GEMINI
TIGHT = _place(OPENAI, {"limits": ((RPM, 600), (TPM, 10_000))})
WIDE = _place(ANTHROPIC, {"limits": ((RPM, 1000), (ITPM, 400_000), (OTPM, 80_000))})
UNTOLD = _place(OPENAI, {})
NEVER_TOLD = _place(OPENAI, {})
FEW = _place(OPENAI, {"limits": ((RPM, 60_000), (RPD, 4))}, concurrency=3, day_starts="Etc/GMT+12")
FREE = _place(GEMINI, {"limits": ((RPM, 5),)})
BURST = _place(OPENAI, {"limits": ((RPM, 3000), (TPM, 20_000))}, burst_s=1.0)
SHARED = _place(
    OPENAI,
    {"limits": ((TPM, 30_000),)},
    {"limits": ((RPM, 300),)},
    shared=((RPM, 400), (TPM, 40_000), (RPD, 30)),
)
ONLY_SHARED = _place(OPENAI, {}, {}, shared=((TPM, 20_000), (TPD, 60_000)))
POOL = _place(
    ANTHROPIC,
    {},
    {},
    {"pool": "", "limits": ((RPM, 600),)},
    pool="family",
    limits=((RPM, 300), (OTPM, 30_000)),
)
EVERY_PLACE = (TIGHT, WIDE, UNTOLD, NEVER_TOLD, FEW, FREE, BURST, SHARED, ONLY_SHARED, POOL)

estimates = st.builds(
    Estimate,
    input_tokens=st.integers(1, 3000) | st.just(20_000),
    max_output_tokens=st.none() | st.integers(1, 3000),
)
examples = st.builds(
    Example, estimate=estimates, input_tokens=st.integers(0, 4000), output_tokens=st.integers(0, 9)
)
amounts = st.fixed_dictionaries({RPD: st.integers(0, 4), TPD: st.integers(0, 50_000)})
seeds = st.builds(
    Seed,
    used_today=amounts,
    shared_today=amounts,
    examples=st.lists(examples, max_size=2).map(tuple),
)
spans_us = (
    st.integers(0, 400_000)
    | st.integers(0, 5_000_000)
    | st.just(2 * LEASE_US)
    | st.sampled_from((DAY_US // 3, DAY_US))
)
usages = st.none() | st.builds(
    Usage, input_tokens=st.integers(0, 4000), output_tokens=st.integers(0, 4000)
)


def _same(text: str) -> str:
    return text


@dataclass
class Call:
    """What the caller of a booking knows."""

    ledger: Ledger
    request: Request
    expected: tuple[Charge, ...]
    booked: Booked
    sent: bool = False


@dataclass
class Waiter:
    """Who was refused, and will ask again."""

    ledger: Ledger
    request: Request


class LimiterMachine(RuleBasedStateMachine):
    """Whatever happens, the scripts do what the model does, and both keep the promises."""

    client: redis.Redis
    scripts: dict[str, Script]
    """Empty at first: one for each class of machine."""
    mutate: Callable[[str], str] = staticmethod(_same)
    places: tuple[Place, ...] = EVERY_PLACE

    def __init__(self) -> None:
        super().__init__()
        if not self.scripts:
            for name in NAMES:
                text = self.mutate(script_text(name))
                self.scripts[name] = self.client.register_script(text)
        self.clock = MORNING_US
        self.now = MORNING_US
        self.ids = itertools.count(1)
        self.epochs = itertools.count(1)
        self.calls: dict[str, Call] = {}
        self.waiting: list[Waiter] = []
        self.seed = Seed()
        self.seen: dict[str, int] = {}

    @initialize(data=st.data())
    def choose_place(self, data: st.DataObject) -> None:
        self.place = data.draw(st.sampled_from(self.places))
        prefix = f"machine{next(_prefixes)}:"
        self.ledgers = [Ledger(each, self.place.kind, prefix=prefix) for each in self.place.scopes]
        self.account_key = self.ledgers[0].keys[1]
        offset_us = 12 * 3_600_000_000 if self.place is FEW else 0
        self.model = Model(offset_us, LEASE_US)
        self.promises = Promises()
        self._look()

    @rule(span=spans_us)
    def time_passes(self, span: int) -> None:
        self.clock += span

    @rule(back_us=st.integers(0, 5_000_000) | st.integers(0, 4 * 3_600_000_000))
    def the_clock_goes_back(self, back_us: int) -> None:
        self.clock -= back_us
        if self.model.account is None:  # an empty store has no memory of a time either
            self.promises.set_back(back_us)

    @rule(ahead_us=st.integers(0, 4 * 3_600_000_000), then_back=st.booleans(), data=st.data())
    def the_clock_jumps_ahead(self, ahead_us: int, then_back: bool, data: st.DataObject) -> None:
        self.clock += ahead_us
        if then_back:
            self.newcomers_ask(data, [Estimate(1, 1)], False)
            self.the_clock_goes_back(ahead_us)

    @rule(data=st.data(), asked=st.lists(estimates, min_size=1, max_size=4), urgent=st.booleans())
    def newcomers_ask(self, data: st.DataObject, asked: list[Estimate], urgent: bool) -> None:
        horizon = INTERACTIVE_US if urgent else BULK_US
        ledger = data.draw(st.sampled_from(self.ledgers))
        ids = [f"{ledger.id_prefix}{next(self.ids)}" for _ in asked]
        self._ask(ledger, [Request(i, each, horizon) for i, each in zip(ids, asked, strict=True)])

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 5))
    def waiters_ask_again(self, count: int) -> None:
        ledger = self.waiting[0].ledger
        again = [each for each in self.waiting if each.ledger is ledger][:count]
        self.waiting = [each for each in self.waiting if each not in again]
        self._ask(ledger, [each.request for each in again])

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_booking_is_asked_for_twice(self, data: st.DataObject) -> None:
        call = self.calls[data.draw(st.sampled_from(sorted(self.calls)))]
        now = max(self.now, self.clock + int(self.model.skew))
        if call.sent or self.model.leases.get(call.booked.booking_id, 0) <= now:
            return
        before = self._charged(call.ledger), self.leases
        answers = self._book(call.ledger, [call.request], [call.expected])
        again = answers[0] if answers else None
        if not isinstance(again, Granted):
            return
        void = again.plan == -1
        assert void or again.start_us == call.booked.start_us, "a repeated call is booked once"
        assert (again.plan, again.serial) in {(call.booked.plan, 0), (-1, 0)}
        assert self._charged(call.ledger) == before[0], "a repeated call is charged once"
        assert self.leases == before[1] or len(self.leases) < len(before[1])
        call.booked = self._record(call.ledger, call.request, again)

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        late_us=st.just(0) | st.integers(0, 2 * LATE_US),
        count=st.integers(1, 3),
    )
    def bookings_are_confirmed(self, data: st.DataObject, late_us: int, count: int) -> None:
        ledger = self.calls[data.draw(st.sampled_from(sorted(self.calls)))].ledger
        some = [each for each in self.calls.values() if each.ledger is ledger and not each.sent]
        self._confirm(ledger, some[:count], late_us)

    @precondition(lambda self: any(each.sent for each in self.calls.values()))
    @rule(data=st.data(), usages=st.lists(usages, min_size=1, max_size=3))
    def calls_are_settled(self, data: st.DataObject, usages: list[Usage | None]) -> None:
        sent = sorted(name for name, each in self.calls.items() if each.sent)
        ledger = self.calls[data.draw(st.sampled_from(sent))].ledger
        some = [self.calls[each] for each in sent if self.calls[each].ledger is ledger]
        self._settle(ledger, list(zip(some, usages, strict=False)))

    @precondition(lambda self: any(not each.sent for each in self.calls.values()))
    @rule(
        data=st.data(),
        tokens=st.integers(0, 400),
        estimate=estimates,
        took_us=st.just(0) | st.integers(0, 5_000_000),
    )
    def a_short_call_makes_room(
        self, data: st.DataObject, tokens: int, estimate: Estimate, took_us: int
    ) -> None:
        unsent = [each for each in self.calls.values() if not each.sent]
        call = min(unsent, key=lambda each: each.booked.start_us)
        self._confirm(call.ledger, [call], 0)
        if call.sent:
            self.clock += took_us
            self._settle(call.ledger, [(call, Usage(tokens, tokens))])
            self.newcomers_ask(data, [estimate], True)

    @precondition(lambda self: any(not each.sent for each in self.calls.values()))
    @rule(data=st.data(), count=st.integers(1, 3), forgotten=st.booleans())
    def bookings_are_given_back(self, data: st.DataObject, count: int, forgotten: bool) -> None:
        unsent = sorted(name for name, each in self.calls.items() if not each.sent)
        ledger = self.calls[data.draw(st.sampled_from(unsent))].ledger
        some = [self.calls[each] for each in unsent if self.calls[each].ledger is ledger][:count]
        booked = [each.booked for each in some]
        if forgotten:
            self._run("cancel", ledger, ledger.forget(booked[0].booking_id))
            self.model.leases.pop(booked[0].booking_id, None)
            self._close(some[0])
        else:
            done = ledger.read_flags(self._run("cancel", ledger, ledger.cancel(booked)))
            expected = [self.model.cancel(ledger.scope, each) for each in booked]
            assert list(done) == expected
            for call, was_open in zip(some, done, strict=True):
                self._close(call, refund=was_open)
        self._compare()

    @rule(
        data=st.data(),
        pause_us=st.integers(0, 3_000_000) | st.integers(0, 60_000_000),
        cut=st.booleans(),
        whole=st.booleans(),
    )
    def the_provider_refuses(
        self, data: st.DataObject, pause_us: int, cut: bool, whole: bool
    ) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        self._penalise(ledger, pause_us, cut=cut, whole=whole)

    @precondition(lambda self: any(each.sent for each in self.calls.values()))
    @rule(
        data=st.data(),
        pause_us=st.just(0) | st.integers(0, 3_000_000),
        whole=st.booleans(),
        again=estimates,
    )
    def calls_that_were_sent_are_refused(
        self, data: st.DataObject, pause_us: int, whole: bool, again: Estimate
    ) -> None:
        """And one that is booked behind the pause is refused as well."""
        sent = sorted(name for name, each in self.calls.items() if each.sent)
        call = self.calls[data.draw(st.sampled_from(sent))]
        ledger = call.ledger
        for _ in range(2):
            self._settle(ledger, [(call, None)])
            self._penalise(ledger, pause_us, cut=True, whole=whole, refused=call.booked)
            known = set(self.calls)
            new_id = f"{ledger.id_prefix}{next(self.ids)}"
            self._ask(ledger, [Request(new_id, again, BULK_US)])
            new = [each for name, each in self.calls.items() if name not in known]
            self._confirm(ledger, new, 0)
            if not new or not new[0].sent:
                break
            call = new[0]

    @rule(data=st.data(), estimate=estimates, again_us=st.integers(0, 5_000_000))
    def a_second_refusal_makes_a_pause_longer(
        self, data: st.DataObject, estimate: Estimate, again_us: int
    ) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        self._penalise(ledger, 100_000, cut=True, whole=False)
        known = set(self.calls)
        self._ask(ledger, [Request(f"{ledger.id_prefix}{next(self.ids)}", estimate, BULK_US)])
        self._penalise(ledger, again_us, cut=True, whole=False)
        self._confirm(ledger, [self.calls[each] for each in self.calls.keys() - known], 0)

    def _penalise(
        self,
        ledger: Ledger,
        pause_us: int,
        *,
        cut: bool,
        whole: bool,
        refused: Booked | None = None,
    ) -> None:
        refusal: dict[str, Any] = {"pause_us": pause_us, "cut": cut, "recover_us": RECOVER_US}
        refusal |= {"reason": "no", "refused": refused}
        arguments = ledger.penalise(whole_account=whole, lease_us=LEASE_US, **refusal)
        before = self._plans(ledger)
        plan = ledger.read_number(self._run("penalise", ledger, arguments))
        expected = self.model.penalise(
            ledger.scope, self.now, whole=whole, prefix=ledger.id_prefix, **refusal
        )
        assert plan == expected
        self._void_older(ledger, before)
        self._compare()

    @rule(data=st.data())
    def somebody_resumes(self, data: st.DataObject) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        ended = ledger.read_number(self._run("resume", ledger, ledger.resume()))
        self.promises.resumed(ledger.keys[0])
        assert ended == self.model.resume(ledger.scope, self.now)
        self._compare()

    @precondition(lambda self: self.place is not NEVER_TOLD)
    @rule(data=st.data(), share=st.sampled_from((0.5, 0.8, 1.5)))
    def headers_tell_limits(self, data: st.DataObject, share: float) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        configured = dict(ledger.scope.limits)
        told = {each: float(round(share * configured.get(each, 3000))) for each in (RPM, TPM, OTPM)}
        changed = ledger.read_number(
            self._run("observe", ledger, ledger.observe({each.value: told[each] for each in told}))
        )
        if self.place.kind is not ANTHROPIC:
            del told[OTPM]
        assert changed == self.model.observe(ledger.scope, told)
        self._compare()

    @rule(share=st.sampled_from((0.5, 2.0)), shared=st.booleans())
    def a_limit_is_configured(self, share: float, shared: bool) -> None:
        """All models of the account get it, as all workers read the same settings."""
        for ledger, first in zip(self.ledgers, self.place.scopes, strict=True):
            values = {each.name: getattr(first, each.name) for each in fields(Scope)}
            for name in ("limits", "shared") if shared else ("limits",):
                values[name] = tuple((each, limit * share) for each, limit in values[name])
            ledger.configure(Scope(**values))

    @precondition(lambda self: self.stored)
    @rule(data=st.data(), seed=seeds)
    def another_process_tells_what_is_known(self, data: st.DataObject, seed: Seed) -> None:
        """It found the store empty as well, and is late."""
        self.seed = seed
        self._tell_what_is_known(data.draw(st.sampled_from(self.ledgers)))

    @precondition(lambda self: self.calls)
    @rule(seed=seeds)
    def the_store_is_emptied(self, seed: Seed) -> None:
        self.client.delete(*(key for ledger in self.ledgers for key in ledger.keys))
        self._look()
        self.seed = seed
        ahead_us = max(self.now - self.clock, int(self.model.skew))
        self.model = Model(self.model.offset_us, LEASE_US)
        self.now = self.clock
        self.seen.clear()
        self.promises.new_life()
        self.promises.set_back(ahead_us)
        for call in self.calls.values():
            if not call.sent:
                self.promises.void(call.booked)
        for ledger in self.ledgers:
            some = [each for each in self.calls.values() if each.ledger is ledger]
            self._confirm(ledger, some, 0, on_time=False)
        self.calls.clear()

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_worker_beats(self, data: st.DataObject) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        alive = [name for name, each in self.calls.items() if each.sent]
        raw = self._run("renew", ledger, ledger.renew(alive, lease_us=LEASE_US))
        assert ledger.read_number(raw) == self.model.renew(alive, self.now)
        self._compare()

    def _ask(self, ledger: Ledger, requests: list[Request]) -> None:
        expected = ledger.expect(requests)
        answers = self._book(ledger, requests, expected)
        if answers is None:
            self._tell_what_is_known(ledger)
            answers = self._book(ledger, requests, expected)
            assert answers is not None, "what was told is known"
        for request, charges, answer in zip(requests, expected, answers, strict=True):
            note(f"{request.booking_id} at {self.now}: {answer}")
            match answer:
                case Granted():
                    self._granted(
                        Call(ledger, request, charges, self._record(ledger, request, answer))
                    )
                case Refused():
                    self._refused(ledger, request, answer)
                    self.waiting.append(Waiter(ledger, request.with_turn(answer.turn)))
                case TooLarge():
                    assert answer.cost > answer.limit

    def _tell_what_is_known(self, ledger: Ledger) -> None:
        epoch = next(self.epochs)
        self._run("seed", ledger, ledger.seed(self.seed, epoch=epoch))
        given = Ledger(ledger.scope, self.place.kind, prefix="")
        for each in self.seed.examples:
            given.learned = given.learned.with_example(each)
        self.model.seed(
            ledger.scope,
            dict(self.seed.used_today),
            dict(self.seed.shared_today),
            learned=given.learned.sums if self.seed.examples else (),
            epoch=epoch,
            clock=self.clock,
        )
        self._compare()

    def _granted(self, call: Call) -> None:
        booked = call.booked
        left, _ = self.model.paused(call.ledger.scope, self.now)
        assert booked.start_us >= self.now + left, "nothing is booked into a pause"
        assert len(self.model.leases) <= call.ledger.scope.concurrency
        self.calls[booked.booking_id] = call
        self.promises.booked(
            booked,
            own=self.model.scopes[call.ledger.scope.shared_by],
            account=self.model.account,
            names=call.ledger.keys[:2],
            day=self.model.day_of(self.clock),
        )

    def _refused(self, ledger: Ledger, request: Request, refused: Refused) -> None:
        match refused.why:
            case "turn":
                assert 0 < refused.wait_us <= request.horizon_us * HINT_SHARE + 1
            case "cap":
                assert len(self.model.leases) >= ledger.scope.concurrency
            case "day":
                assert 0 < refused.wait_us <= DAY_US

    def _confirm(
        self, ledger: Ledger, some: Sequence[Call], late_us: int, *, on_time: bool = True
    ) -> None:
        if not some:
            return
        if on_time:
            self._until(max(each.booked.start_us for each in some) + late_us)
        booked = [each.booked for each in some]
        arguments = ledger.confirm(booked, lease_us=LEASE_US, late_us=LATE_US)
        answers = ledger.read_flags(self._run("confirm", ledger, arguments))
        left = self.model.paused(ledger.scope, self.now)[0] if self.model.scopes else 0
        expected = [self.model.confirm(ledger.scope, each, self.now) for each in booked]
        assert list(answers) == expected
        for call, go in zip(some, answers, strict=True):
            call.sent = go
            if go:
                assert left == 0, "nothing goes out in a pause"
                assert self.now - call.booked.start_us <= LATE_US
            else:
                self._close(call)
        self._compare()

    def _settle(self, ledger: Ledger, some: Sequence[tuple[Call, Usage | None]]) -> None:
        arguments = ledger.settle([(call.booked, usage) for call, usage in some])
        done = ledger.read_settle(self._run("settle", ledger, arguments))
        expected = [self._settle_model(call, usage) for call, usage in some]
        assert list(done) == expected
        for call, usage in some:
            actuals = (
                None if usage is None else ledger.charges.settled(call.request.estimate, usage)
            )
            self.promises.settled(call.booked, actuals)
            del self.calls[call.booked.booking_id]
        self._compare()
        assert not any(ledger.read_settle(self._run("settle", ledger, arguments))), "settled twice"
        self._compare()

    def _settle_model(self, call: Call, usage: Usage | None) -> bool:
        ledger, estimate = call.ledger, call.request.estimate
        actuals, lesson = None, (0, 0)
        if usage is not None:
            actuals = ledger.charges.settled(estimate, usage)
            lesson = (ledger.charges.input_of(usage), usage.output_tokens)
        return self.model.settle(ledger.scope, call.booked, actuals, lesson, self.at)

    def _close(self, call: Call, *, refund: bool = True) -> None:
        """It will not be sent: its permits are free again."""
        self.calls.pop(call.booked.booking_id, None)
        self.promises.given_back(call.booked, refund=refund)

    def _book(
        self, ledger: Ledger, requests: list[Request], expected: Sequence[tuple[Charge, ...]]
    ) -> list[Answer] | None:
        before = self._plans(ledger)
        raw = self._run("book", ledger, ledger.book(requests, expected, lease_us=LEASE_US))
        reply = ledger.read_book(expected, raw)
        asked = list(zip(requests, expected, strict=True))
        due = self.model.book(ledger.scope, asked, self.at)
        if reply is None:
            assert due is None
            return None
        assert reply.now_us == self.now, "the account's clock does not go back"
        self._void_older(ledger, before)
        assert list(reply.answers) == due, (reply.answers, due)
        self._compare()
        return due

    @staticmethod
    def _record(ledger: Ledger, request: Request, granted: Granted) -> Booked:
        return Booked(
            request.booking_id,
            ledger.scope,
            request.estimate,
            granted.costs,
            0.0,
            granted.start_us,
            granted.plan,
            granted.serial,
            granted.before_us,
            granted.epoch,
        )

    @property
    def at(self) -> At:
        return At(self.now, self.clock)

    def _until(self, instant: int) -> None:
        """Let the time pass until *instant* on the account's clock."""
        self.clock = max(self.clock, instant - int(self.model.skew))

    def _run(self, name: str, ledger: Ledger, arguments: Arguments) -> Any:
        """Run a script, at a time that the account's clock, which never goes back, agrees to."""
        own, account = (self.stored.get(each) for each in ledger.keys[:2])
        now = self.clock
        if account is not None:
            seen = int(max(each.get("seen") for each in (own or account, account)))
            self.model.skew = max(self.model.skew, seen - self.clock)
            now = self.clock + int(self.model.skew)
        assert now >= self.seen.get(ledger.keys[0], now), "the clock of a scope never goes back"
        if now < self.now:  # that of another model does not know of it yet
            self.promises.set_back(self.now - now)
        if own is not None and name in {"book", "confirm"}:
            self.seen[ledger.keys[0]] = now
        self.now = now
        reply = self.scripts[name](ledger.keys, (str(self.clock), *arguments))
        self._look()
        return reply

    def _look(self) -> None:
        """See what lies in the store, all at once."""
        keys = sorted({key for ledger in self.ledgers for key in ledger.keys[:2]})
        looks = self.client.pipeline(transaction=False)
        looks.mget(keys)
        looks.mget([ledger.keys[3] for ledger in self.ledgers])
        looks.zrange(self.ledgers[0].keys[2], 0, -1, withscores=True)
        states, learned, leases = looks.execute()
        found = zip(keys, states, strict=True)
        self.stored = {key: unpack_state(raw) for key, raw in found if raw is not None}
        self.learned = [unpack_learned(each) for each in learned]
        self.leases = {name.decode(): score for name, score in leases}

    def _plans(self, ledger: Ledger) -> tuple[float, ...]:
        """-> that of a scope and that of its account; nothing where either is not known."""
        states = [self.stored.get(each) for each in ledger.keys[:2]]
        return tuple(each.get("plan") for each in states if each is not None and all(states))

    def _void_older(self, ledger: Ledger, before: tuple[float, ...]) -> None:
        """Where a plan began since *before*, what was booked and not sent will not be."""
        after = self._plans(ledger)
        if before in (after, ()):
            return
        whole = before[1] != after[1]
        for call in self.calls.values():
            if not call.sent and (whole or call.ledger.keys[0] == ledger.keys[0]):
                self.promises.void(call.booked)

    def _charged(self, ledger: Ledger) -> object:
        """All that a booking charges."""
        states = [self.stored[each] for each in ledger.keys[:2]]
        used = [list(each.by_dimension("at").values())[4:] for each in states]
        return used, [(each.get("last"), each.get("serial")) for each in states]

    def _compare(self) -> None:
        """What lies in the store is what the model has."""
        assert self.leases == self.model.leases
        for ledger, sums in zip(self.ledgers, self.learned, strict=True):
            self._compare_state(self.model.scopes.get(ledger.scope.shared_by), ledger.keys[0])
            _all_close("learned", sums, self.model.learned.get(ledger.scope.model, (0.0,) * 6))
        self._compare_state(self.model.account, self.account_key)
        if self.model.account is not None:
            account = self.stored[self.account_key]
            assert account.get("skew") == self.model.skew
            assert account.get("capped") == self.model.capped
            assert account.get("limited") == self.model.account.is_limited

    def _compare_state(self, model: State | None, key: str) -> None:
        stored = self.stored.get(key)
        if model is None or stored is None:
            assert (model is None) == (stored is None)
            return
        for name in _FIELDS:
            _all_close(name, [stored.get(name)], [getattr(model, name)])
        assert stored.why == model.why
        found = {
            name: list(stored.by_dimension(name).values())
            for name in ("limit", "told", "at", "rate", "depth", "big")
        }
        for name, values in found.items():
            _all_close(name, values, _values(model, name))


_FIELDS = (
    *("last", "serial", "queued", "served", "plan", "punished", "pause", "streak", "hold"),
    *("cut", "cut_at"),
    *("recover", "accepted", "accepted_at", "accepted_since", "probe", "ceiling", "paced", "epoch"),
)
_OF_BUCKET = {"at": "full_at", "big": "biggest"}
_OF_COUNT = {"at": "used", "rate": "day"}


def _values(model: State, name: str) -> list[float]:
    minutes = [getattr(each, _OF_BUCKET.get(name, name)) for each in model.buckets]
    days = [getattr(each, _OF_COUNT.get(name, name), 0.0) for each in model.counts]
    return minutes + days


def _all_close(name: str, values: Sequence[float], due: Sequence[float]) -> None:
    close = [isclose(a, b, rel_tol=1e-13, abs_tol=1e-6) for a, b in zip(values, due, strict=True)]
    assert all(close), (name, values, due)
