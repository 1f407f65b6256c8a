"""Callers of the real scripts in virtual time: hours in seconds, each time the same."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from math import ceil
from typing import Any, Protocol

import redis

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.desk import LATE_S, RECOVER_US
from promptmill.workers.limits.ledger import Granted, Ledger, Refused, Request
from promptmill.workers.limits.limit import Booked, Estimate, Scope, Seed
from promptmill.workers.limits.scripts import NAMES, script_text

NOON_US = 690 * 86_400_000_000 + 43_200_000_000
LEASE_US = 30_000_000
_prefixes = itertools.count()


class Server(Protocol):
    """A provider's own limit."""

    def refuses(self, at_s: float, tokens: int, /) -> float | None:
        """Take a request, or say for how long to stay away; None: taken."""


@dataclass
class TokenBucket:
    """Lets *rate* requests a second through, and holds *depth* of them."""

    rate: float
    depth: float
    retry_after_s: float = 1.0
    level: float = field(init=False)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.depth

    def refuses(self, at_s: float, _tokens: int, /) -> float | None:
        self.level = min(self.depth, self.level + (at_s - self.at_s) * self.rate)
        self.at_s = at_s
        if self.level < 1:
            return self.retry_after_s
        self.level -= 1
        return None


@dataclass
class BucketOfTokens:
    """Lets *rate* tokens a second through, and holds a second of them. Tells whole seconds."""

    rate: float
    level: float = field(init=False)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.rate

    def refuses(self, at_s: float, tokens: int, /) -> float | None:
        self.level = min(self.rate, self.level + (at_s - self.at_s) * self.rate)
        self.at_s = at_s
        short = min(tokens, self.rate) - self.level
        if short > 0:
            return max(1.0, ceil(short / self.rate))
        self.level -= tokens
        return None


@dataclass
class SlidingMinute:
    """Lets *most* requests through in any sixty seconds."""

    most: int
    taken: deque[float] = field(default_factory=deque)

    def refuses(self, at_s: float, _tokens: int, /) -> float | None:
        while self.taken and self.taken[0] <= at_s - 60:
            self.taken.popleft()
        if len(self.taken) >= self.most:
            return self.taken[0] + 60 - at_s
        self.taken.append(at_s)
        return None


@dataclass
class Told:
    """What came of it."""

    answered: list[float] = field(default_factory=list)
    """When, in seconds."""
    refused: list[float] = field(default_factory=list)
    tokens: int = 0


class VirtualCallers:
    """Processes whose callers all want one call each, as soon as the limiter lets them."""

    def __init__(
        self,
        client: redis.Redis,
        scope: Scope,
        server: Server,
        *,
        latency_s: float = 0.05,
        tells: Callable[[float], dict[str, float]] = lambda _: {},
    ) -> None:
        self.ledger = Ledger(scope, ProviderKind.OPENAI, prefix=f"virtual{next(_prefixes)}:")
        self._scope, self._server, self._tells = scope, server, tells
        self._latency_s = latency_s
        self._scripts = {name: client.register_script(script_text(name)) for name in NAMES}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count()
        self.now_s = 0.0
        self.told = Told()
        self._call("seed", self.ledger.seed(Seed(), epoch=1))

    def run(self, calls: int, *, processes: int = 4, tokens: Iterator[int] | None = None) -> Told:
        """Make *calls* calls of so many *tokens*, 10 each by default, spread over *processes*."""
        sizes = tokens or repeat(10)
        for process in range(processes):
            count = calls // processes + (process < calls % processes)
            waiting = deque(self._request(Estimate(next(sizes), None)) for _ in range(count))
            self._at(process * 0.003, lambda waiting=waiting: self._pump(waiting))  # type: ignore[misc]
        while len(self.told.answered) < calls:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
        return self.told

    def _request(self, estimate: Estimate) -> Request:
        return Request(f"{self.ledger.id_prefix}{next(self._ids)}", estimate, 2_000_000)

    def _pump(self, waiting: deque[Request]) -> None:
        """Ask for the first eight; come back when the first of the refused may."""
        heads = [waiting.popleft() for _ in range(min(8, len(waiting)))]
        if not heads:
            self._at(0.05, lambda: self._pump(waiting))
            return
        expected = self.ledger.expect(heads)
        raw = self._call("book", self.ledger.book(heads, expected, lease_us=LEASE_US))
        reply = self.ledger.read_book(expected, raw)
        assert reply is not None
        waits, again = [], []
        for request, answer in zip(heads, reply.answers, strict=True):
            if isinstance(answer, Granted):
                self._granted(request, answer, waiting)
            else:
                assert isinstance(answer, Refused), answer
                again.append(request.with_turn(answer.turn))
                waits.append(answer.wait_us / 1e6)
        waiting.extendleft(reversed(again))
        self._at(min(min(waits, default=0.001), 1.0), lambda: self._pump(waiting))

    def _granted(self, request: Request, granted: Granted, waiting: deque[Request]) -> None:
        booked = Booked(
            request.booking_id, self._scope, request.estimate, granted.costs, 0.0,
            granted.start_us, granted.plan, granted.serial, granted.before_us, granted.epoch,
        )  # fmt: skip
        wait_s = (granted.start_us - NOON_US) / 1e6 - self.now_s
        self._at(wait_s, lambda: self._send(booked, waiting))

    def _send(self, booked: Booked, waiting: deque[Request]) -> None:
        arguments = self.ledger.confirm([booked], lease_us=LEASE_US, late_us=int(LATE_S * 1e6))
        if not self.ledger.read_flags(self._call("confirm", arguments))[0]:
            waiting.appendleft(self._request(booked.estimate))
            return
        pause_s = self._server.refuses(self.now_s, booked.estimate.input_tokens)
        if pause_s is None:
            self._at(self._latency_s, lambda: self._answered(booked))
        else:
            self._at(0.003, lambda: self._refused(booked, pause_s, waiting))

    def _answered(self, booked: Booked) -> None:
        self.told.answered.append(self.now_s)
        self.told.tokens += booked.estimate.input_tokens
        self._settle(booked, Usage(booked.estimate.input_tokens, 1))
        limits = self._tells(self.now_s)
        if limits:
            self._call("observe", self.ledger.observe(limits))

    def _refused(self, booked: Booked, pause_s: float, waiting: deque[Request]) -> None:
        self.told.refused.append(self.now_s)
        self._settle(booked, None)
        self._call(
            "penalise",
            self.ledger.penalise(
                pause_us=int(pause_s * 1e6),
                cut=True,
                recover_us=RECOVER_US,
                whole_account=False,
                reason="rate 429",
                lease_us=LEASE_US,
                refused=booked,
            ),
        )
        waiting.append(self._request(booked.estimate))

    def _settle(self, booked: Booked, usage: Usage | None) -> None:
        raw = self._call("settle", self.ledger.settle([(booked, usage)]))
        self.ledger.read_settle(raw)

    def _at(self, in_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + max(0.0, in_s), next(self._order), event))

    def _call(self, name: str, arguments: tuple[str | bytes, ...]) -> Any:
        now = str(NOON_US + round(self.now_s * 1e6))
        return self._scripts[name](keys=self.ledger.keys, args=(now, *arguments))
