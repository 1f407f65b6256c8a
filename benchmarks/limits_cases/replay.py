"""What strict servers say of a log of calls, and how much went out in any stretch of time."""

from collections import deque
from collections.abc import Sequence

from benchmarks.limits_cases.crowd import Sent
from promptmill.simulator import Shape
from promptmill.simulator.windows import window_for


def refusals(sent: Sequence[Sent], a_minute: float, shape: Shape) -> int:
    """Count what a server of *shape* refuses; a refused call takes nothing from its limit."""
    window, refused = window_for(shape, a_minute), 0
    for call in sent:
        if window.wait(call.at, call.tokens) > 0:
            refused += 1
        else:
            window.take(call.at, call.tokens)
    return refused


def most_in_any(sent: Sequence[Sent], seconds: float) -> int:
    """Return the most tokens in any half-open stretch of *seconds*."""
    inside: deque[Sent] = deque()
    used = most = 0
    for call in sent:
        inside.append(call)
        used += call.tokens
        while call.at - inside[0].at >= seconds:
            used -= inside.popleft().tokens
        most = max(most, used)
    return most


def most_above(sent: Sequence[Sent], a_minute: float) -> float:
    """Return the most tokens above the limit's rate in any stretch, however short or long.

    What a bucket that never refuses would have to hold: a pacing limiter keeps it small.
    """
    debt = worst = 0.0
    before = sent[0].at if sent else 0.0
    for call in sent:
        debt = max(0.0, debt - (call.at - before) * a_minute / 60) + call.tokens
        worst, before = max(worst, debt), call.at
    return worst


def most_across(sent: Sequence[Sent], at: float, a_minute: float) -> float:
    """Return the most tokens above the limit's rate in any stretch that has *at* in it."""
    total = 0.0
    before = [(at - call.at, call.tokens) for call in reversed(sent) if call.at <= at]
    after = [(call.at - at, call.tokens) for call in sent if call.at > at]
    for side in (before, after):
        used = most = 0.0
        for seconds, tokens in side:
            used += tokens
            most = max(most, used - seconds * a_minute / 60)
        total += most
    return total
