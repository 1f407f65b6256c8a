"""Waiters in a closed loop, and what each of their calls was."""

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from benchmarks.limits_cases.processes import run_together
from benchmarks.limits_cases.turns import Opener

CALL_S = 0.05
PROCESSES, WAITERS = 4, 100
SMALLEST, LARGEST = 100, 8000
"""tokens of a call"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One call that went out."""

    at: float
    """On the machine's monotonic clock."""
    tokens: int
    waited: float
    """Seconds from asking for a turn to sending."""
    who: str = ""


def log_uniform(rng: random.Random) -> int:
    """Draw a size: as many between 100 and 800 as between 800 and 6,400."""
    return round(math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))


async def closed_loop(
    open_turns: Opener,
    url: str,
    *,
    until: float,
    seed: int,
    waiters: int = WAITERS,
    size: Callable[[random.Random], int] = log_uniform,
) -> list[Sent]:
    """Be one worker process: each waiter takes a turn, calls, and comes again."""
    sent: list[Sent] = []
    rng = random.Random(seed)
    async with open_turns(url) as turn:

        async def call_again_and_again() -> None:
            while monotonic() < until:
                tokens, asked = size(rng), monotonic()
                done = await turn(tokens, until)
                if done is None:
                    return
                sent.append(Sent(monotonic(), tokens, monotonic() - asked))
                await asyncio.sleep(CALL_S)
                await done()

        await asyncio.gather(*(call_again_and_again() for _ in range(waiters)))
    return sent


def crowd_of(open_turns: Opener, url: str, seconds: float) -> tuple[float, list[Sent]]:
    """Let 4 processes x 100 waiters loop for *seconds*; return the beginning, and all calls."""
    works = [partial(closed_loop, open_turns, url, seed=seed) for seed in range(PROCESSES)]
    begin, sent = run_together(works, seconds)
    return begin, in_order(sent)


def in_order(sent: Iterable[Sent]) -> list[Sent]:
    """Sort by the time of sending."""
    return sorted(sent, key=lambda call: call.at)


def within(sent: Iterable[Sent], begin: float, seconds: float) -> list[Sent]:
    """Pick the calls of *seconds* from *begin* on."""
    return [call for call in sent if begin <= call.at < begin + seconds]


def share_used(sent: Sequence[Sent], a_minute: float, seconds: float) -> float:
    """Return the tokens of *sent* as a share of what a limit *a_minute* lets through."""
    return sum(call.tokens for call in sent) / (a_minute / 60 * seconds)
