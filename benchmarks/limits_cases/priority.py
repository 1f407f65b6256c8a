"""priority: 300 bulk callers that saturate the limit, and one interactive call a second.

The interactive calls come when they come, whether or not the one before was answered.
"""

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import Any

from benchmarks.common.figures import at_least, at_most, judged, percentile
from benchmarks.limits_cases.crowd import (
    CALL_S,
    PROCESSES,
    Sent,
    closed_loop,
    in_order,
    log_uniform,
    share_used,
    within,
)
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.processes import run_together
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import URGENT_S, Opener, open_ours
from promptmill.workers.limits.limit import Dimension, Scope

LIMIT = 2_000_000
SCOPE = Scope("gemini", "m", "a", ((Dimension.TPM, LIMIT),), 10_000)
BULK = 75
"""callers in each process"""
EACH_S = 1.0
INTERACTIVE = "interactive"


def priority(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure when the bulk callers wait as long as they ever will."""
    seconds, warm_s = plan.seconds_or(90.0), plan.warm_s(20.0)
    bulk, urgent = (
        partial(open_ours, scope=SCOPE),
        partial(open_ours, scope=SCOPE, horizon_s=URGENT_S),
    )
    with Store() as store:
        works = [
            *(
                partial(closed_loop, bulk, store.url, seed=n, waiters=BULK)
                for n in range(PROCESSES)
            ),
            partial(call_each_second, urgent, store.url, seed=PROCESSES),
        ]
        begin, sent = run_together(works, warm_s + seconds)
    measured = within(in_order(sent), begin + warm_s, seconds)
    waits = sorted(call.waited for call in measured if call.who == INTERACTIVE)
    bulk_waits = sorted(call.waited for call in measured if call.who != INTERACTIVE)
    figures = {
        "seconds": seconds,
        "used": share_used(measured, LIMIT, seconds),
        "interactive": len(waits),
        "interactive_p50_s": percentile(waits, 0.5),
        "interactive_p99_s": percentile(waits, 0.99),
        "bulk": len(bulk_waits),
        "bulk_p50_s": percentile(bulk_waits, 0.5),
        "bulk_p99_s": percentile(bulk_waits, 0.99),
    }
    demands = {"used": at_least(0.985), "interactive_p99_s": at_most(3.0)}
    yield judged("priority", figures, demands)


async def call_each_second(open_turns: Opener, url: str, *, until: float, seed: int) -> list[Sent]:
    """Be a process with one interactive call a second."""
    sent: list[Sent] = []
    rng = random.Random(seed)
    async with open_turns(url) as turn, asyncio.TaskGroup() as calls:

        async def call() -> None:
            tokens, asked = log_uniform(rng), monotonic()
            done = await turn(tokens, until)
            if done is not None:
                sent.append(Sent(monotonic(), tokens, monotonic() - asked, INTERACTIVE))
                await asyncio.sleep(CALL_S)
                await done()

        while monotonic() < until:
            calls.create_task(call())
            await asyncio.sleep(EACH_S)
    return sent
