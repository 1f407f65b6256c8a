"""Callers of the simulator: the adapter of a worker, and the limiter told of each refusal."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from time import monotonic

from benchmarks.limits_cases.crowd import PROCESSES, log_uniform
from benchmarks.limits_cases.processes import run_together
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import open_permits, take_turn
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.secret import Secret
from promptmill.schema.settings import ProviderKind
from promptmill.simulator import Row, Simulator
from promptmill.workers.decide import OVERLOADED_PAUSE_S, RATE_PAUSE_S
from promptmill.workers.limits.limit import Booked, Dimension, Estimate, Scope
from promptmill.workers.limits.permits import Permits
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.http import open_http
from promptmill.workers.providers.openai.client import OpenAIProvider

CONFIGURED = 2_000_000
SCOPE = Scope("openai", "gpt-4o-mini", "a", ((Dimension.TPM, CONFIGURED),), 10_000)
CALLERS = 50
"""in each process"""
_UNTOLD_PAUSE_S = {ErrorKind.RATE: RATE_PAUSE_S, ErrorKind.OVERLOADED: OVERLOADED_PAUSE_S}
_TIMEOUT_S = 20.0


def call_together(
    simulator: Simulator,
    seconds: float,
    *,
    meanwhile: Callable[[float], object] = lambda _begin: None,
) -> list[Row]:
    """Let 4 processes x 50 callers loop for *seconds*; return the bill, in order of arrival.

    *meanwhile* is called in this process when they begin, with that moment.
    """
    with Store() as store:
        works = [
            partial(call_and_obey, store.url, simulator.openai_url, seed)
            for seed in range(PROCESSES)
        ]
        run_together(works, seconds, meanwhile=meanwhile)
    return simulator.bill()


def tokens_of(row: Row) -> int:
    """Return how many tokens the call of *row* was charged with, by the limit."""
    return int(row.marker)


async def call_and_obey(store_url: str, openai_url: str, seed: int, *, until: float) -> list[None]:
    """Be one worker process: each caller takes a turn, calls, and tells what came of it."""
    http, rng = open_http(concurrency=CALLERS), random.Random(seed)
    provider = OpenAIProvider("openai", api_key=Secret("sk-bench"), base_url=openai_url, http=http)
    async with open_permits(store_url, scope=SCOPE, kind=ProviderKind.OPENAI) as permits:

        async def call_again_and_again() -> None:
            while monotonic() < until:
                tokens = log_uniform(rng)
                booked = await take_turn(permits, SCOPE, Estimate(10, tokens), until=until)
                if booked is not None:
                    await _obey(permits, booked, await provider.complete(_call(tokens)))

        await asyncio.gather(*(call_again_and_again() for _ in range(CALLERS)))
    await provider.close()
    await http.aclose()
    return []


def _call(tokens: int) -> Call:
    """Make a request that OpenAI's limit charges with *tokens*: its maximum, up front."""
    message = {"role": "user", "content": f"A question [[{tokens}]]"}
    body = {"messages": [message], "max_tokens": tokens}
    return Call(model=SCOPE.model, body=body, request_id="bench", timeout_s=_TIMEOUT_S)


async def _obey(permits: Permits, booked: Booked, reply: Answer | Refusal) -> None:
    """Do with *reply* what an attempt does."""
    await permits.settle(booked, reply.usage)
    if isinstance(reply, Refusal):
        told = reply.retry_after_s
        pause_s = _UNTOLD_PAUSE_S[reply.kind] if told is None else told
        await permits.penalise(
            SCOPE, kind=reply.kind, pause_s=pause_s, reason=reply.kind, refused=booked
        )
