"""The waiters of one scope and horizon in one process, and the one loop that asks for them all."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from redis.exceptions import RedisError

from promptmill.workers.limits.ledger import Answer, Granted, Refused, Request
from promptmill.workers.limits.limit import Booked, Postponed, TooLarge
from promptmill.workers.limits.stopping import stop

HEADS = 8
"""Waiters with a turn that ask in one call; when all of them are granted the next ask at once."""
NEWCOMERS = 64
CAP_POLL_S = 1.0
"""How soon to look again for a place in flight if no news of one came."""
PAUSE_POLL_S = 1.0
"""How soon to look again whether a pause was ended by hand."""
AWAY_POLL_S = 0.5
UNREACHABLE = "limiter unreachable"

log = structlog.get_logger(__name__)

Reply = Booked | Postponed | TooLarge


@dataclass(eq=False, slots=True)
class Waiter:
    """A caller that waits for its booking."""

    request: Request
    deadline: float
    """On `loop.time()`."""
    future: asyncio.Future[Reply]
    asked: bool = False
    """A call with it is open or was lost, so it may be booked without our knowing."""
    excuse: Postponed = field(default_factory=lambda: Postponed(0.0, "turn"))
    """What to tell it when its patience ends."""


class Pump:
    """Asks for all its waiters, one script call at a time.

    *ask* sends requests and returns their answers; *grant* turns a grant into the caller's value;
    *release* gives a booking back that nobody wants any more.
    """

    def __init__(
        self,
        *,
        ask: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]],
        grant: Callable[[Waiter, Granted], Booked],
        release: Callable[[Waiter, Booked | None], None],
    ) -> None:
        self._ask, self._grant, self._release = ask, grant, release
        self._seated: list[Waiter] = []  # have asked before; in the order of their turns
        self._fresh: list[Waiter] = []
        self._due = 0.0  # when the first of the seated ask again, on loop.time()
        self._refused = False  # who asked last was refused: nobody is overtaken by newcomers
        self._capped = False
        self._woken = False
        self._away = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Callers that wait here."""
        return len(self._seated) + len(self._fresh)

    async def wait(self, waiter: Waiter) -> Reply:
        """Wait for the answer. A caller that is cancelled leaves nothing booked."""
        self._fresh.append(waiter)
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="limits-pump")
            self._task.add_done_callback(self._ended)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._drop(waiter)
            raise

    def wake(self) -> None:
        """Ask again now: something changed for the better."""
        if not self._away:
            self._due, self._woken = 0.0, True
            self._news.set()

    def place_freed(self) -> None:
        """Ask again now if the in-flight cap was what held the heads back."""
        if self._capped:
            self.wake()

    async def close(self) -> None:
        """Stop. Whoever waits is told to come back."""
        if self._task is not None:
            await stop(self._task)
        for waiter in (*self._seated, *self._fresh):
            self._postpone(waiter, Postponed(0.0, "closing"))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        # One time for all of a round: what is due between two looks would not be waited for.
        while self._prune(now := loop.time()):
            self._news.clear()
            waiters = self._ready(now)
            if waiters:
                await self._ask_for(waiters)
            else:
                await self._idle(now)

    def _ready(self, now: float) -> list[Waiter]:
        """List who asks now, in order: heads, then newcomers when they can overtake nobody."""
        due = now >= self._due
        if not due and (self._away or not self._fresh):
            return []
        heads = self._seated[:HEADS]
        if len(self._seated) <= HEADS:
            return heads + self._fresh[:NEWCOMERS]
        return self._fresh[:NEWCOMERS] if self._refused and not due else heads

    async def _ask_for(self, waiters: list[Waiter]) -> None:
        self._woken = False
        for waiter in waiters:
            waiter.asked = True
        newcomers = [each for each in self._fresh if each.asked]
        self._fresh = [each for each in self._fresh if not each.asked]
        self._seated += newcomers
        try:
            answers = await self._ask([each.request for each in waiters])
        except (RedisError, OSError):
            self._nobody_answers(waiters)
            return
        self._away = False
        now = asyncio.get_running_loop().time()
        for waiter, answer in zip(waiters, answers, strict=True):
            self._take(waiter, answer, now)
        self._plan(answers, now, heads_asked=len(newcomers) < len(waiters))

    def _plan(self, answers: Sequence[Answer], now: float, *, heads_asked: bool) -> None:
        """Set when the heads ask again; what newcomers hear can only make that sooner."""
        refusals = [answer for answer in answers if isinstance(answer, Refused)]
        due = now + min((_poll_s(each) for each in refusals), default=0.0)
        capped = any(answer.why == "cap" for answer in refusals)
        self._refused = bool(refusals)
        self._capped = capped or (self._capped and not heads_asked)
        if self._woken:  # while we asked: the answers may be older than the news
            self._due = now
        elif heads_asked or self._due < now:
            self._due = due
        else:
            self._due = min(due, self._due)

    def _take(self, waiter: Waiter, answer: Answer, now: float) -> None:
        waiter.asked = False
        if isinstance(answer, Refused):
            waiter.request = waiter.request.with_turn(answer.turn)
            waiter.excuse = _excuse(answer)
            if answer.why in {"paused", "day"} and now + answer.wait_us / 1e6 > waiter.deadline:
                self._postpone(waiter, waiter.excuse)
        elif waiter.future.done():
            if isinstance(answer, Granted):
                self._release(waiter, self._grant(waiter, answer))
        elif isinstance(answer, Granted):
            waiter.future.set_result(self._grant(waiter, answer))
        else:
            waiter.future.set_result(answer)

    def _nobody_answers(self, waiters: list[Waiter]) -> None:
        """Fail closed: nothing goes out, everybody waits on."""
        self._away, self._refused = True, True
        self._due = asyncio.get_running_loop().time() + AWAY_POLL_S
        for waiter in waiters:
            waiter.excuse = Postponed(AWAY_POLL_S, UNREACHABLE)
            if waiter.future.done():
                self._release(waiter, None)

    def _prune(self, now: float) -> int:
        """Let go who is answered or out of patience; count who is left."""
        for waiter in (*self._seated, *self._fresh):
            if now >= waiter.deadline:
                self._postpone(waiter, waiter.excuse)
        self._seated = [each for each in self._seated if not each.future.done()]
        self._fresh = [each for each in self._fresh if not each.future.done()]
        return self.waiting

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a loop that broke."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for waiter in (*self._seated, *self._fresh):
                if not waiter.future.done():
                    waiter.future.set_exception(error)

    def _postpone(self, waiter: Waiter, excuse: Postponed) -> None:
        if not waiter.future.done():
            waiter.future.set_result(excuse)
            if waiter.asked:
                self._release(waiter, None)

    def _drop(self, waiter: Waiter) -> None:
        future = waiter.future
        reply = future.result() if future.done() and not future.cancelled() else None
        if isinstance(reply, Booked):
            self._release(waiter, reply)
        elif waiter.asked:
            self._release(waiter, None)
        future.cancel()

    async def _idle(self, now: float) -> None:
        """Sleep until the heads are due, somebody's patience ends, or there is news."""
        waiters = (*self._seated, *self._fresh)
        until = min(self._due, *(each.deadline for each in waiters))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), until - now)


def _poll_s(refusal: Refused) -> float:
    wait = refusal.wait_us / 1e6
    if refusal.why == "cap":
        return CAP_POLL_S
    return min(wait, PAUSE_POLL_S) if refusal.why in {"paused", "day"} else wait


def _excuse(refusal: Refused) -> Postponed:
    match refusal.why:
        case "paused":
            reason = f"pause:{refusal.detail}"
        case "day":
            reason = refusal.detail
        case "cap":
            reason = "concurrency"
        case _:
            reason = "turn"
    return Postponed(refusal.wait_us / 1e6, reason)
