"""The scripts and the model, side by side on an injected clock: each call is made to both."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

import redis
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine
from redis.commands.core import Script

from promptmill.schema.limit_state import unpack_learned, unpack_state
from promptmill.schema.outcomes import Usage
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
    Estimate,
    Seed,
    TooLarge,
)
from promptmill.workers.limits.scripts import NAMES, script_text
from promptmill.workers.limits.store import Arguments
from tests.limits.model import At, Model
from tests.limits.model_state import State
from tests.limits.places import FEW, Place
from tests.limits.promises import Promises

LEASE_US = 30_000_000
LATE_US = 250_000
BULK_US, INTERACTIVE_US = 2_000_000, 10_000_000
RECOVER_US = 0.002 / 1e6
DAY_US = 86_400_000_000
MORNING_US = 690 * DAY_US + 9 * 3_600_000_000
_prefixes = itertools.count()


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


class SideBySide(RuleBasedStateMachine):
    """Makes each call to the scripts and to the model, and compares what they did."""

    client: redis.Redis
    scripts: dict[str, Script]
    """Empty at first: one for each class of machine."""
    mutate: Callable[[str], str] = staticmethod(_same)

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

    def begin(self, place: Place) -> None:
        """Start with an empty store."""
        self.place = place
        prefix = f"machine{next(_prefixes)}:"
        self.ledgers = [Ledger(each, self.place.kind, prefix=prefix) for each in self.place.scopes]
        self.account_key = self.ledgers[0].keys[1]
        offset_us = 12 * 3_600_000_000 if self.place is FEW else 0
        self.model = Model(offset_us, LEASE_US)
        self.promises = Promises()
        self.look()

    def ask(self, ledger: Ledger, requests: list[Request]) -> None:
        expected = ledger.expect(requests)
        answers = self.book(ledger, requests, expected)
        if answers is None:
            self.tell_what_is_known(ledger)
            answers = self.book(ledger, requests, expected)
            assert answers is not None, "what was told is known"
        for request, charges, answer in zip(requests, expected, answers, strict=True):
            note(f"{request.booking_id} at {self.now}: {answer}")
            match answer:
                case Granted():
                    self._granted(
                        Call(ledger, request, charges, self.record(ledger, request, answer))
                    )
                case Refused():
                    self._refused(ledger, request, answer)
                    self.waiting.append(Waiter(ledger, request.with_turn(answer.turn)))
                case TooLarge():
                    assert answer.cost > answer.limit

    def tell_what_is_known(self, ledger: Ledger) -> None:
        epoch = next(self.epochs)
        self.run("seed", ledger, ledger.seed(self.seed, epoch=epoch))
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
        self.compare()

    def confirm(
        self, ledger: Ledger, some: Sequence[Call], late_us: int, *, on_time: bool = True
    ) -> None:
        if not some:
            return
        if on_time:
            self._until(max(each.booked.start_us for each in some) + late_us)
        booked = [each.booked for each in some]
        arguments = ledger.confirm(booked, lease_us=LEASE_US, late_us=LATE_US)
        answers = ledger.read_flags(self.run("confirm", ledger, arguments))
        left = self.model.paused(ledger.scope, self.now)[0] if self.model.scopes else 0
        expected = [self.model.confirm(ledger.scope, each, self.now) for each in booked]
        assert list(answers) == expected
        for call, go in zip(some, answers, strict=True):
            call.sent = go
            if go:
                assert left == 0, "nothing goes out in a pause"
                assert self.now - call.booked.start_us <= LATE_US
            else:
                self.close(call)
        self.compare()

    def send_one(self, ledger: Ledger, estimate: Estimate) -> Call | None:
        """Make a call, if it may be made."""
        booking_id = f"{ledger.id_prefix}{next(self.ids)}"
        self.ask(ledger, [Request(booking_id, estimate, BULK_US)])
        call = self.calls.get(booking_id)
        if call is not None:
            self.confirm(ledger, [call], 0)
        return call if call is not None and call.sent else None

    def settle(self, ledger: Ledger, some: Sequence[tuple[Call, Usage | None]]) -> None:
        arguments = ledger.settle([(call.booked, usage) for call, usage in some])
        done = ledger.read_settle(self.run("settle", ledger, arguments))
        expected = [self._settle_model(call, usage) for call, usage in some]
        assert list(done) == expected
        for call, usage in some:
            actuals = (
                None if usage is None else ledger.charges.settled(call.request.estimate, usage)
            )
            self.promises.settled(call.booked, actuals)
            del self.calls[call.booked.booking_id]
        self.compare()
        assert not any(ledger.read_settle(self.run("settle", ledger, arguments))), "settled twice"
        self.compare()

    def penalise(
        self,
        ledger: Ledger,
        pause_us: int,
        *,
        cut: bool,
        whole: bool,
        refused: Booked | None = None,
        ramp: bool = False,
    ) -> None:
        refusal: dict[str, Any] = {"pause_us": pause_us, "cut": cut, "recover_us": RECOVER_US}
        refusal |= {"reason": "no", "refused": refused, "ramp": ramp}
        arguments = ledger.penalise(whole_account=whole, lease_us=LEASE_US, **refusal)
        before = self._plans(ledger)
        plan = ledger.read_number(self.run("penalise", ledger, arguments))
        expected = self.model.penalise(
            ledger.scope, self.now, whole=whole, prefix=ledger.id_prefix, **refusal
        )
        assert plan == expected
        self._void_older(ledger, before)
        self.compare()

    def book(
        self, ledger: Ledger, requests: list[Request], expected: Sequence[tuple[Charge, ...]]
    ) -> list[Answer] | None:
        before = self._plans(ledger)
        raw = self.run("book", ledger, ledger.book(requests, expected, lease_us=LEASE_US))
        reply = ledger.read_book(expected, raw)
        asked = list(zip(requests, expected, strict=True))
        due = self.model.book(ledger.scope, asked, self.at)
        if reply is None:
            assert due is None
            return None
        assert reply.now_us == self.now, "the account's clock does not go back"
        self._void_older(ledger, before)
        assert list(reply.answers) == due, (reply.answers, due)
        self.compare()
        return due

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

    def _settle_model(self, call: Call, usage: Usage | None) -> bool:
        ledger, estimate = call.ledger, call.request.estimate
        actuals, lesson = None, (0, 0)
        if usage is not None:
            actuals = ledger.charges.settled(estimate, usage)
            lesson = (ledger.charges.input_of(usage), usage.output_tokens)
        return self.model.settle(ledger.scope, call.booked, actuals, lesson, self.at)

    def close(self, call: Call, *, refund: bool = True) -> None:
        """It will not be sent: its permits are free again."""
        self.calls.pop(call.booked.booking_id, None)
        self.promises.given_back(call.booked, refund=refund)

    @staticmethod
    def record(ledger: Ledger, request: Request, granted: Granted) -> Booked:
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

    def run(self, name: str, ledger: Ledger, arguments: Arguments) -> Any:
        """Run a script, at a time that the account's clock, which never goes back, agrees to."""
        own, account = (self.stored.get(each) for each in ledger.keys[:2])
        now = self.clock
        if account is not None:
            seen = int(max(each.get("seen") for each in (own or account, account)))
            self.model.skew = max(self.model.skew, seen - self.clock)
            now = self.clock + int(self.model.skew)
            is_written = (
                now > self.clock + account.get("skew") or now - account.get("seen") > DAY_US
            )
            self.model.heard = now if is_written else account.get("seen")
        assert now >= self.seen.get(ledger.keys[0], now), "the clock of a scope never goes back"
        if now < self.now:  # that of another model does not know of it yet
            self.promises.set_back(self.now - now)
        if own is not None and name in {"book", "confirm"}:
            self.seen[ledger.keys[0]] = now
        self.now = now
        reply = self.scripts[name](ledger.keys, (str(self.clock), *arguments))
        self.look()
        return reply

    def look(self) -> None:
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

    def charged(self, ledger: Ledger) -> object:
        """All that a booking charges."""
        states = [self.stored[each] for each in ledger.keys[:2]]
        used = [list(each.by_dimension("at").values())[4:] for each in states]
        return used, [(each.get("last"), each.get("serial")) for each in states]

    def compare(self) -> None:
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
    *("last", "serial", "queued", "served", "plan", "punished", "pause", "first", "streak", "hold"),
    *("cut", "cut_at"),
    *(
        "recover",
        "uncut",
        "proven",
        "accepted",
        "accepted_at",
        "accepted_since",
        "probe",
        "ceiling",
        "paced",
        "epoch",
    ),
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
