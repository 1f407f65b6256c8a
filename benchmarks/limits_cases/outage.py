"""outage: for 20 s the provider refuses every call and says when to come back. 200 callers.

Once as a rate limit (429) and once as overloaded (503).
"""

from collections.abc import Iterator
from threading import Event
from time import monotonic
from typing import Any

from benchmarks.common.figures import at_most, judged
from benchmarks.limits_cases.callers import CALLERS, CONFIGURED, call_together, tokens_of
from benchmarks.limits_cases.crowd import PROCESSES
from benchmarks.limits_cases.plan import Plan
from promptmill.simulator import Row, Simulator, SimulatorConfig

BEFORE_S, OUTAGE_S, AFTER_S = 10.0, 20.0, 10.0
FAULTS = {"rate": 429, "overloaded": 503}


def outage(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure one outage of each kind."""
    seconds = plan.seconds_or(BEFORE_S + OUTAGE_S + AFTER_S)
    for fault in FAULTS:
        yield _one(fault, seconds)


def _one(fault: str, seconds: float) -> dict[str, Any]:
    share = seconds / (BEFORE_S + OUTAGE_S + AFTER_S)
    began = ended = 0.0

    def fail_for_a_while(begin: float) -> None:
        nonlocal began, ended
        _wait_until(begin + BEFORE_S * share)
        began, lasts_s = monotonic(), max(1, round(OUTAGE_S * share))
        simulator.add_fault(fault, retry_after=str(lasts_s))
        _wait_until(began + lasts_s)
        simulator.clear_faults()
        ended = monotonic()

    with Simulator(SimulatorConfig(latency_s=0.3, answer_tokens=1)) as simulator:
        rows = call_together(simulator, seconds, meanwhile=fail_for_a_while)
    after = [row for row in rows if row.received_at >= ended and row.status == 200]
    figures = {
        "refused_with": FAULTS[fault],
        "callers": PROCESSES * CALLERS,
        "outage_s": ended - began,
        "failed_calls": sum(row.fault != "" for row in rows),
        "answered": sum(row.status == 200 for row in rows),
        "first_answered_after_s": after[0].received_at - ended if after else seconds,
        "used_after": _used(after, ended),
    }
    return judged("outage", figures, {"failed_calls": at_most(5)})


def _used(after: list[Row], ended: float) -> float:
    """Return what came through after the outage, as a share of the limit."""
    if not after:
        return 0.0
    seconds = max(1.0, after[-1].received_at - ended)
    return sum(map(tokens_of, after)) / (CONFIGURED / 60 * seconds)


def _wait_until(when: float) -> None:
    Event().wait(max(0.0, when - monotonic()))
