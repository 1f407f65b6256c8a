"""Callers in a closed loop, on an injected clock: each asks again when it was told to."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import redis

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.ledger import Granted, Ledger, Refused, Request
from promptmill.workers.limits.limit import Booked, Estimate, Scope, Seed
from promptmill.workers.limits.scripts import NAMES, script_text

START_US = 690 * 86_400_000_000
LEASE_US = 30_000_000
BULK_US = 2_000_000
POLL_US = 1_000_000
_prefixes = itertools.count()


@dataclass
class Wait:
    """One call, from the first question to its start."""

    model: str
    since_us: int
    cost: int
    """In tokens."""
    start_us: int = 0


@dataclass
class Loop:
    """Callers of an account; each wants its next call when the one before is answered."""

    client: redis.Redis
    scopes: tuple[Scope, ...]
    rng: Random
    takes_us: int = 500_000
    """How long a call takes."""
    used: float = 1.0
    """What it uses, of what is estimated."""
    waits: list[Wait] = field(default_factory=list)
    dying: int = 0
    """So many of the next who are told to wait never ask again."""

    def __post_init__(self) -> None:
        prefix = f"loop{next(_prefixes)}:"
        self.ledgers = [Ledger(each, ProviderKind.GEMINI, prefix=prefix) for each in self.scopes]
        self._scripts = {name: self.client.register_script(script_text(name)) for name in NAMES}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count()
        self.now_us, self.ahead_us = START_US, 0
        for ledger in self.ledgers:
            self._call("seed", ledger, ledger.seed(Seed(), epoch=1))

    def run(self, *callers: int, seconds: int) -> list[Wait]:
        """Let so many *callers* of each scope make calls for *seconds*; return all calls."""
        for ledger, count in zip(self.ledgers, callers, strict=True):
            for _ in range(count):
                self.at(self.rng.randrange(100_000), lambda each=ledger: self._next(each))  # type: ignore[misc]
        end = START_US + seconds * 1_000_000
        while self._events and self._events[0][0] < end:
            self.now_us, _, event = heapq.heappop(self._events)
            event()
        return self.waits

    def at(self, in_us: int, event: Callable[[], None]) -> None:
        """Let something happen, later."""
        heapq.heappush(self._events, (self.now_us + max(0, in_us), next(self._order), event))

    def set_clock(self, by_us: int) -> None:
        """Let the server's clock jump."""
        self.ahead_us += by_us

    def die(self, count: int) -> None:
        """Let the worker of so many waiters die."""
        self.dying = count

    def refuse(self, pause_us: int) -> None:
        """Let the provider refuse a call."""
        ledger = self.ledgers[0]
        arguments = ledger.penalise(
            pause_us=pause_us,
            cut=False,
            recover_us=0.0,
            whole_account=False,
            reason="no",
            lease_us=LEASE_US,
        )
        self._call("penalise", ledger, arguments)

    def _next(self, ledger: Ledger) -> None:
        tokens = round(100 * 80 ** self.rng.random())
        wait = Wait(ledger.scope.model, self.now_us, tokens)
        self._ask(ledger, self._request(ledger, Estimate(tokens, None)), wait)

    def _request(self, ledger: Ledger, estimate: Estimate) -> Request:
        return Request(f"{ledger.id_prefix}{next(self._ids)}", estimate, BULK_US)

    def _ask(self, ledger: Ledger, request: Request, wait: Wait) -> None:
        expected = ledger.expect([request])
        raw = self._call("book", ledger, ledger.book([request], expected, lease_us=LEASE_US))
        reply = ledger.read_book(expected, raw)
        assert reply is not None
        (answer,) = reply.answers
        if isinstance(answer, Granted):
            booked = as_booked(ledger, request, answer)
            self.at(answer.start_us - reply.now_us, lambda: self._send(ledger, booked, wait))
        else:
            assert isinstance(answer, Refused), answer
            assert answer.wait_us > 0 or answer.why == "cap"
            if self.dying and answer.turn:
                self.dying -= 1
                return
            again = request.with_turn(answer.turn)
            self.at(min(answer.wait_us or POLL_US, POLL_US), lambda: self._ask(ledger, again, wait))

    def _send(self, ledger: Ledger, booked: Booked, wait: Wait) -> None:
        arguments = ledger.confirm([booked], lease_us=LEASE_US, late_us=250_000)
        (go,) = ledger.read_flags(self._call("confirm", ledger, arguments))
        if go:
            wait.start_us = self.now_us
            self.waits.append(wait)
            self.at(self.takes_us, lambda: self._answered(ledger, booked))
        else:
            self._ask(ledger, self._request(ledger, booked.estimate), wait)

    def _answered(self, ledger: Ledger, booked: Booked) -> None:
        usage = Usage(round(booked.estimate.input_tokens * self.used), 1)
        ledger.read_settle(self._call("settle", ledger, ledger.settle([(booked, usage)])))
        self._next(ledger)

    def _call(self, name: str, ledger: Ledger, arguments: tuple[str | bytes, ...]) -> Any:
        now = str(self.now_us + self.ahead_us)
        return self._scripts[name](keys=ledger.keys, args=(now, *arguments))


def as_booked(ledger: Ledger, request: Request, granted: Granted) -> Booked:
    return Booked(
        booking_id=request.booking_id,
        scope=ledger.scope,
        estimate=request.estimate,
        costs=granted.costs,
        start=0.0,
        start_us=granted.start_us,
        plan=granted.plan,
        serial=granted.serial,
        before_us=granted.before_us,
        epoch=granted.epoch,
    )
