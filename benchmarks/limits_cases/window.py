"""window: what a server counts in any minute. Two objects, measured side by side.

`rpm`: 4 processes under 600 requests a minute. `tpm`: 50 prompts of 1,000 tokens that are all
there at once, under 10,000 tokens a minute.
"""

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.common.figures import Demand, at_most, judged
from benchmarks.limits_cases.crowd import PROCESSES, Sent, closed_loop, in_order
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.processes import run_together
from benchmarks.limits_cases.replay import most_in_any
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import open_ours
from promptmill.workers.limits.limit import Dimension, Scope

RPM, TPM = 600, 10_000
PACED_S = 0.25
"""what the limiter may have at hand, in seconds of the limit"""
PROMPT_TOKENS, PROMPTS = 1000, 50
BY_REQUESTS = Scope("gemini", "requests", "a", ((Dimension.RPM, RPM),), 10_000)
BY_TOKENS = Scope("gemini", "tokens", "a", ((Dimension.TPM, TPM),), 10_000)


def window(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure for two minutes and a little: three windows' ends."""
    seconds = plan.seconds_or(125.0)
    with Store() as store:
        by_requests = partial(open_ours, scope=BY_REQUESTS)
        by_tokens = partial(open_ours, scope=BY_TOKENS)
        works = [
            *(
                partial(closed_loop, by_requests, store.url, seed=n, waiters=20, size=one)
                for n in range(PROCESSES)
            ),
            partial(closed_loop, by_tokens, store.url, seed=9, waiters=PROMPTS, size=thousand),
        ]
        _, sent = run_together(works, seconds)
    sent = in_order(sent)
    depth = RPM * PACED_S / 60
    requests = [call for call in sent if call.tokens == 1]
    yield _judged("rpm", requests, seconds, limit=RPM, demand=at_most(RPM + depth))
    tokens = [call for call in sent if call.tokens == PROMPT_TOKENS]
    yield _judged("tpm", tokens, seconds, limit=TPM, demand=at_most(TPM + PROMPT_TOKENS))


def one(_rng: random.Random) -> int:
    """Be of no size: requests are what counts."""
    return 1


def thousand(_rng: random.Random) -> int:
    """Be of one size."""
    return PROMPT_TOKENS


def _judged(
    of: str, sent: list[Sent], seconds: float, *, limit: int, demand: Demand
) -> dict[str, Any]:
    figures = {
        "limit": of,
        "seconds": seconds,
        "admitted": sum(call.tokens for call in sent),
        "most_in_any_60_s": most_in_any(sent, 60.0),
        "used": sum(call.tokens for call in sent) / (limit / 60 * seconds),
    }
    return judged("window", figures, {"most_in_any_60_s": demand})
