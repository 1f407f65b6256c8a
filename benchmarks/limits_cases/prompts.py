"""told and untold: 600 prompts end to end, by four worker processes through Celery and SQL.

The simulator lets 50 requests a second through, from a bucket of 50, and answers after 50 ms. What
counts is on its bill: from the arrival of the first call to the end of the last answer. Ideally
that is (600 - 50) / 50 = 11.0 s and the answer's own time.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.common.figures import Demand, at_least, at_most, judged
from benchmarks.limits_cases.mill import Mill
from benchmarks.limits_cases.plan import Plan
from promptmill.simulator import Limits, Row, Shape, Simulator, SimulatorConfig

RATE, BURST = 50, 50
"""requests a second, and what the bucket holds"""
PROMPTS = 600
WORKERS = 4
LATENCY_S = 0.05
PACED_S = 0.25
"""what is at hand where only the rate is told, in seconds of it"""
_PATIENCE_S = 240.0
_RPM = RATE * 60


@dataclass(frozen=True, slots=True)
class Course:
    """What became of the prompts."""

    rows: Sequence[Row]
    """the bill"""
    prompts: int
    answered: int
    """results in SQL"""
    attempts: int
    """that count, of all jobs; an answer is one"""

    @property
    def last(self) -> Row:
        """The answer that ended last."""
        answers = [row for row in self.rows if row.status == 200]
        return max(answers, key=lambda row: row.finished_at or 0.0)

    def figures(self) -> dict[str, Any]:
        """Put it into numbers."""
        ended = self.last.finished_at or 0.0
        arrivals = [row.received_at for row in self.rows]
        return {
            "prompts": self.prompts,
            "answered": self.answered,
            "refused": sum(row.status == 429 for row in self.rows),
            "attempts_used_up": self.attempts - self.answered,
            "seconds": ended - self.rows[0].received_at,
            "last_latency_s": ended - self.last.received_at,
            "ideal_s": ideal_s(self.prompts),
            # A machine that stalls for a second brings what was sent meanwhile at once.
            "longest_gap_s": max(b - a for a, b in pairwise(arrivals)),
            "most_in_any_1_s": most_within(arrivals, 1.0),
        }


def told(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure with the rate and the burst in the settings, and with the rate alone."""
    both = _answer(plan, limits={"rpm": _RPM, "burst_s": BURST / RATE})
    yield _judged(
        "told", both, at_most(ideal_s(both.prompts) + 0.6), at_most(0), told="rate, burst"
    )
    alone = _answer(plan, limits={"rpm": _RPM})
    paced_s = 1.04 * (alone.prompts - RATE * PACED_S) / RATE
    bound = at_most(paced_s + alone.figures()["last_latency_s"])
    yield _judged("told", alone, bound, at_most(0), told="rate")


def untold(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure with nothing in the settings, and ever less in the answers."""
    by_headers = _answer(plan)
    bound = at_most(ideal_s(by_headers.prompts) + 1.6)
    yield _judged("untold", by_headers, bound, _few(by_headers), tells="limit headers, retry-after")
    for tells, retry_after in {"retry-after": True, "nothing": False}.items():
        course = _answer(plan, headers=False, retry_after=retry_after)
        bound = at_most(1.5 * ideal_s(course.prompts))
        yield _judged("untold", course, bound, _few(course), tells=tells)


def ideal_s(prompts: int) -> float:
    """Return the seconds until the last of *prompts* is let through, where none is wasted."""
    return max(0.0, (prompts - BURST) / RATE)


def most_within(moments: Sequence[float], seconds: float) -> int:
    """Return how many of *moments*, which are in order, lie within *seconds* at most."""
    return max(
        bisect_left(moments, moment + seconds) - number for number, moment in enumerate(moments)
    )


def _answer(
    plan: Plan,
    *,
    limits: Mapping[str, float] | None = None,
    headers: bool = True,
    retry_after: bool = True,
) -> Course:
    prompts = PROMPTS if plan.seconds is None else BURST + max(10, round(plan.seconds * RATE))
    config = SimulatorConfig(
        latency_s=LATENCY_S,
        limits=Limits(rpm=_RPM, shape=Shape.TOKEN_BUCKET, burst_s=BURST / RATE),
        limit_headers=headers,
        retry_after=retry_after,
    )
    with (
        Simulator(config) as simulator,
        Mill(simulator.openai_url, limits=limits or {}, workers=WORKERS) as mill,
    ):
        mill.answer(prompts, within_s=_PATIENCE_S)
        return Course(
            rows=simulator.bill(),
            prompts=prompts,
            answered=mill.number("select count(*) from results"),
            attempts=mill.number("select sum(attempts) from jobs"),
        )


def _few(course: Course) -> Demand:
    """Allow one refusal for ten prompts."""
    return at_most(course.prompts / 10)


def _judged(
    case: str, course: Course, seconds: Demand, refused: Demand, **how: str
) -> dict[str, Any]:
    demands = {
        "answered": at_least(course.prompts),
        "refused": refused,
        "attempts_used_up": at_most(0),
        "seconds": seconds,
    }
    return judged(case, {**how, **course.figures()}, demands)
