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

    since_us: int
    cost: int
    """In tokens."""
    start_us: int = 0
    booked_us: int = 0
    """When it was booked."""


@dataclass
class Loop:
    """So many callers of one scope; each wants its next call when the one before is answered."""

    client: redis.Redis
    scope: Scope
    rng: Random
    takes_us: int = 500_000
    """How long a call takes."""
    used: float = 1.0
    """What it uses, of what is estimated."""
    waits: list[Wait] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.scope, ProviderKind.GEMINI, prefix=f"loop{next(_prefixes)}:")
        self._scripts = {name: self.client.register_script(script_text(name)) for name in NAMES}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count()
        self.now_us, self.ahead_us = START_US, 0
        self._call("seed", self.ledger.seed(Seed(), epoch=1))

    def run(self, callers: int, *, seconds: int) -> list[Wait]:
        """Let *callers* make calls for *seconds*; return all that were booked."""
        for _ in range(callers):
            self.at(self.rng.randrange(100_000), self._next)
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

    def refuse(self, pause_us: int) -> None:
        """Let the provider refuse a call."""
        arguments = self.ledger.penalise(
            pause_us=pause_us,
            cut=False,
            recover_us=0.0,
            whole_account=False,
            reason="no",
            lease_us=LEASE_US,
        )
        self._call("penalise", arguments)

    def _next(self) -> None:
        tokens = round(100 * 80 ** self.rng.random())
        request = Request(self._new_id(), Estimate(tokens, None), BULK_US)
        self._ask(request, Wait(self.now_us, tokens))

    def _new_id(self) -> str:
        return f"{self.ledger.id_prefix}{next(self._ids)}"

    def _ask(self, request: Request, wait: Wait) -> None:
        expected = self.ledger.expect([request])
        raw = self._call("book", self.ledger.book([request], expected, lease_us=LEASE_US))
        reply = self.ledger.read_book(expected, raw)
        assert reply is not None
        (answer,) = reply.answers
        if isinstance(answer, Granted):
            self._granted(request, wait, answer, answer.start_us - reply.now_us)
        else:
            assert isinstance(answer, Refused), answer
            assert answer.wait_us > 0 or answer.why == "cap"
            again = request.with_turn(answer.turn)
            self.at(min(answer.wait_us or POLL_US, POLL_US), lambda: self._ask(again, wait))

    def _granted(self, request: Request, wait: Wait, granted: Granted, in_us: int) -> None:
        booked = Booked(
            booking_id=request.booking_id,
            scope=self.scope,
            estimate=request.estimate,
            costs=granted.costs,
            start=0.0,
            start_us=granted.start_us,
            plan=granted.plan,
            serial=granted.serial,
            before_us=granted.before_us,
            epoch=granted.epoch,
        )
        wait.booked_us = self.now_us
        self.at(in_us, lambda: self._send(booked, wait))

    def _send(self, booked: Booked, wait: Wait) -> None:
        arguments = self.ledger.confirm([booked], lease_us=LEASE_US, late_us=250_000)
        (go,) = self.ledger.read_flags(self._call("confirm", arguments))
        if go:
            wait.start_us = self.now_us
            self.waits.append(wait)
            self.at(self.takes_us, lambda: self._answered(booked))
        else:
            self._ask(Request(self._new_id(), booked.estimate, BULK_US), wait)

    def _answered(self, booked: Booked) -> None:
        usage = Usage(round(booked.estimate.input_tokens * self.used), 1)
        raw = self._call("settle", self.ledger.settle([(booked, usage)]))
        self.ledger.read_settle(raw)
        self._next()

    def _call(self, name: str, arguments: tuple[str | bytes, ...]) -> Any:
        now = str(self.now_us + self.ahead_us)
        return self._scripts[name](keys=self.ledger.keys, args=(now, *arguments))
