"""A Hypothesis machine: what may happen to the limiter, in any order."""

from dataclasses import fields

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from promptmill.schema.outcomes import Usage
from promptmill.workers.limits.ledger import Granted, Request
from promptmill.workers.limits.limit import Estimate, Example, Scope, Seed
from tests.limits.model import Model
from tests.limits.places import ANTHROPIC, EVERY_PLACE, NEVER_TOLD, OTPM, RPD, RPM, TPD, TPM, Place
from tests.limits.side_by_side import (
    BULK_US,
    DAY_US,
    INTERACTIVE_US,
    LATE_US,
    LEASE_US,
    SideBySide,
)

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


class LimiterMachine(SideBySide):
    """Whatever happens, the scripts do what the model does, and both keep the promises."""

    places: tuple[Place, ...] = EVERY_PLACE

    @initialize(data=st.data())
    def choose_place(self, data: st.DataObject) -> None:
        self.begin(data.draw(st.sampled_from(self.places)))

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
        self.ask(ledger, [Request(i, each, horizon) for i, each in zip(ids, asked, strict=True)])

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 5))
    def waiters_ask_again(self, count: int) -> None:
        ledger = self.waiting[0].ledger
        again = [each for each in self.waiting if each.ledger is ledger][:count]
        self.waiting = [each for each in self.waiting if each not in again]
        self.ask(ledger, [each.request for each in again])

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_booking_is_asked_for_twice(self, data: st.DataObject) -> None:
        call = self.calls[data.draw(st.sampled_from(sorted(self.calls)))]
        now = max(self.now, self.clock + int(self.model.skew))
        if call.sent or self.model.leases.get(call.booked.booking_id, 0) <= now:
            return
        before = self.charged(call.ledger), self.leases
        answers = self.book(call.ledger, [call.request], [call.expected])
        again = answers[0] if answers else None
        if not isinstance(again, Granted):
            return
        void = again.plan == -1
        late = again.start_us < self.now - LATE_US  # its lease was made longer: its start is gone
        same = again.start_us == call.booked.start_us
        assert void or late or same, "a repeated call is booked once"
        assert (again.plan, again.serial) in {(call.booked.plan, 0), (-1, 0)}
        assert self.charged(call.ledger) == before[0], "a repeated call is charged once"
        assert self.leases == before[1] or len(self.leases) < len(before[1])
        call.booked = self.record(call.ledger, call.request, again)

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        late_us=st.just(0) | st.integers(0, 2 * LATE_US),
        count=st.integers(1, 3),
    )
    def bookings_are_confirmed(self, data: st.DataObject, late_us: int, count: int) -> None:
        ledger = self.calls[data.draw(st.sampled_from(sorted(self.calls)))].ledger
        some = [each for each in self.calls.values() if each.ledger is ledger and not each.sent]
        self.confirm(ledger, some[:count], late_us)

    @precondition(lambda self: any(each.sent for each in self.calls.values()))
    @rule(data=st.data(), usages=st.lists(usages, min_size=1, max_size=3))
    def calls_are_settled(self, data: st.DataObject, usages: list[Usage | None]) -> None:
        sent = sorted(name for name, each in self.calls.items() if each.sent)
        ledger = self.calls[data.draw(st.sampled_from(sent))].ledger
        some = [self.calls[each] for each in sent if self.calls[each].ledger is ledger]
        self.settle(ledger, list(zip(some, usages, strict=False)))

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
        self.confirm(call.ledger, [call], 0)
        if call.sent:
            self.clock += took_us
            self.settle(call.ledger, [(call, Usage(tokens, tokens))])
            self.newcomers_ask(data, [estimate], True)

    @precondition(lambda self: any(not each.sent for each in self.calls.values()))
    @rule(data=st.data(), count=st.integers(1, 3), forgotten=st.booleans())
    def bookings_are_given_back(self, data: st.DataObject, count: int, forgotten: bool) -> None:
        unsent = sorted(name for name, each in self.calls.items() if not each.sent)
        ledger = self.calls[data.draw(st.sampled_from(unsent))].ledger
        some = [self.calls[each] for each in unsent if self.calls[each].ledger is ledger][:count]
        booked = [each.booked for each in some]
        if forgotten:
            self.run("cancel", ledger, ledger.cancel([booked[0].booking_id]))
            self.model.leases.pop(booked[0].booking_id, None)
            self.close(some[0])
        else:
            done = ledger.read_flags(self.run("cancel", ledger, ledger.cancel(booked)))
            expected = [self.model.cancel(ledger.scope, each) for each in booked]
            assert list(done) == expected
            for call, was_open in zip(some, done, strict=True):
                self.close(call, refund=was_open)
        self.compare()

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
        self.penalise(ledger, pause_us, cut=cut, whole=whole)

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
            self.settle(ledger, [(call, None)])
            self.penalise(ledger, pause_us, cut=True, whole=whole, refused=call.booked)
            new = self.send_one(ledger, again)
            if new is None:
                break
            call = new

    @rule(
        data=st.data(),
        estimate=estimates,
        spans=st.lists(st.integers(0, 6_000_000), min_size=2, max_size=3)
        | st.lists(st.sampled_from((0, 13_000_000, 14_000_000)), min_size=3, max_size=4),
        took_us=st.integers(0, 1_000_000),
        answered=st.booleans(),
        ramp=st.sampled_from((False, False, True)),
    )
    def a_call_is_refused_after_others_were_not(
        self,
        data: st.DataObject,
        *,
        estimate: Estimate,
        spans: list[int],
        took_us: int,
        answered: bool,
        ramp: bool,
    ) -> None:
        """Again and again, each time after a while; after none it is the first that is refused."""
        ledger = data.draw(st.sampled_from(self.ledgers))
        for span in spans:
            first = self.send_one(ledger, estimate)
            self.clock += span
            if first and span and answered:
                self.settle(ledger, [(first, Usage(10, 10))])
            call = self.send_one(ledger, estimate) if span else first
            if call is None:
                return
            self.clock += took_us
            self.settle(ledger, [(call, None)])
            self.penalise(ledger, 0, cut=True, whole=False, refused=call.booked, ramp=ramp)

    @rule(data=st.data(), estimate=estimates, again_us=st.integers(0, 5_000_000))
    def a_second_refusal_makes_a_pause_longer(
        self, data: st.DataObject, estimate: Estimate, again_us: int
    ) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        self.penalise(ledger, 100_000, cut=True, whole=False)
        known = set(self.calls)
        self.ask(ledger, [Request(f"{ledger.id_prefix}{next(self.ids)}", estimate, BULK_US)])
        self.penalise(ledger, again_us, cut=True, whole=False)
        self.confirm(ledger, [self.calls[each] for each in self.calls.keys() - known], 0)

    @rule(data=st.data())
    def somebody_resumes(self, data: st.DataObject) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        ended = ledger.read_number(self.run("resume", ledger, ledger.resume()))
        self.promises.resumed(ledger.keys[0])
        assert ended == self.model.resume(ledger.scope, self.now)
        self.compare()

    @precondition(lambda self: self.place is not NEVER_TOLD)
    @rule(data=st.data(), share=st.sampled_from((0.5, 0.8, 1.5)))
    def headers_tell_limits(self, data: st.DataObject, share: float) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        configured = dict(ledger.scope.limits)
        told = {each: float(round(share * configured.get(each, 3000))) for each in (RPM, TPM, OTPM)}
        changed = ledger.read_number(
            self.run("observe", ledger, ledger.observe({each.value: told[each] for each in told}))
        )
        if self.place.kind is not ANTHROPIC:
            del told[OTPM]
        assert changed == self.model.observe(ledger.scope, told)
        self.compare()

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
        self.tell_what_is_known(data.draw(st.sampled_from(self.ledgers)))

    @precondition(lambda self: self.calls)
    @rule(seed=seeds)
    def the_store_is_emptied(self, seed: Seed) -> None:
        self.client.delete(*(key for ledger in self.ledgers for key in ledger.keys))
        self.look()
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
            self.confirm(ledger, some, 0, on_time=False)
        self.calls.clear()

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_worker_beats(self, data: st.DataObject) -> None:
        ledger = data.draw(st.sampled_from(self.ledgers))
        alive = [name for name, each in self.calls.items() if each.sent]
        raw = self.run("renew", ledger, ledger.renew(alive, lease_us=LEASE_US))
        assert ledger.read_number(raw) == self.model.renew(alive, self.now)
        self.compare()
