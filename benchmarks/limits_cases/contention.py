"""contention: 4 processes x 100 waiters on one limit, and what strict servers would say of it.

Closed loop: each waiter takes a turn, "calls" for 50 ms and settles. Sizes are log-uniform, 100 to
8,000 tokens, at 2M tokens a minute. The log of all that was sent, from the first call on, is then
replayed through servers of four shapes. Its peers come after it, one by one, with the same sizes.
"""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.common.figures import at_least, at_most, judged, rounded
from benchmarks.limits_cases.crowd import Sent, crowd_of, share_used, within
from benchmarks.limits_cases.peers import HOW_TO_INSTALL, installed_peers
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.replay import refusals
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import Opener, open_ours
from promptmill.simulator import Shape
from promptmill.workers.limits.limit import Dimension, Scope

LIMIT = 2_000_000
SCOPE = Scope("gemini", "m", "a", ((Dimension.TPM, LIMIT),), 10_000)
DEMANDS = {
    "used": at_least(0.985),
    "refused_by_token_bucket": at_most(0),
    "refused_share_by_strictest": at_most(0.001),
    "wait_max_by_mean": at_most(1.5),
    "wait_large_by_small": at_most(1.2),
}


def contention(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure the limiter, and its peers beside it."""
    seconds, warm_s = plan.seconds_or(60.0), plan.warm_s(15.0)
    figures = measure(partial(open_ours, scope=SCOPE), seconds, warm_s)
    yield judged(
        "contention", {"seconds": seconds, **figures}, DEMANDS, peers=_peers(seconds, warm_s)
    )


def measure(open_turns: Opener, seconds: float, warm_s: float) -> dict[str, Any]:
    """Let a crowd wait for turns of a limiter that begins with an empty Valkey."""
    with Store() as store:
        begin, sent = crowd_of(open_turns, store.url, warm_s + seconds)
        scripts = store.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})
    measured = within(sent, begin + warm_s, seconds)
    return {
        "used": share_used(measured, LIMIT, seconds),
        "sent": len(measured),
        **_refusals(sent),
        **_waits(measured),
        "script_calls_each": scripts["calls"] / max(1, len(sent)),
    }


def _refusals(sent: Sequence[Sent]) -> dict[str, Any]:
    refused = {f"refused_by_{shape.value}": refusals(sent, LIMIT, shape) for shape in Shape}
    strictest = max(refused.values()) / max(1, len(sent))
    return {**refused, "refused_share_by_strictest": strictest}


def _waits(measured: Sequence[Sent]) -> dict[str, Any]:
    if len(measured) < 4:
        return dict.fromkeys(("wait_mean_s", "wait_max_by_mean", "wait_large_by_small"), 0.0)
    waits = [call.waited for call in measured]
    mean = sum(waits) / len(waits)
    by_size = sorted(measured, key=lambda call: call.tokens)
    quarter = len(by_size) // 4
    small, large = (
        sum(call.waited for call in part) / quarter
        for part in (by_size[:quarter], by_size[-quarter:])
    )
    return {
        "wait_mean_s": mean,
        "wait_max_by_mean": max(waits) / mean,
        "wait_large_by_small": large / max(small, 1e-9),
    }


def _peers(seconds: float, warm_s: float) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, open_turns in installed_peers(LIMIT).items():
        if open_turns is None:
            told[name] = f"not installed; {HOW_TO_INSTALL}"
            sys.stderr.write(f"limits: {name} is not installed; {HOW_TO_INSTALL}\n")
        else:
            figures = measure(open_turns, seconds, warm_s)
            told[name] = {key: rounded(figure) for key, figure in figures.items()}
    return told
