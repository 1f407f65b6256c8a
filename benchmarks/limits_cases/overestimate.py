"""overestimate: every `max_tokens` is four times what comes. Used share once that is learned.

As with Anthropic, output counts when it is there: the limit is 2M output tokens a minute.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.common.figures import at_least, judged
from benchmarks.limits_cases.crowd import crowd_of, share_used, within
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.replay import most_above
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import open_ours
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.limit import Dimension, Estimate, Scope

LIMIT = 2_000_000
SCOPE = Scope("anthropic", "m", "a", ((Dimension.OTPM, LIMIT),), 10_000)
TOO_HIGH = 4


def overestimate(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure after 20 s of learning."""
    seconds, learning_s = plan.seconds_or(60.0), plan.warm_s(20.0)
    kind = ProviderKind.ANTHROPIC
    open_turns = partial(open_ours, scope=SCOPE, kind=kind, call_of=with_high_maximum)
    with Store() as store:
        begin, sent = crowd_of(open_turns, store.url, learning_s + seconds)
    measured = within(sent, begin + learning_s, seconds)
    figures = {
        "seconds": seconds,
        "used": share_used(measured, LIMIT, seconds),
        "used_while_learning": share_used(within(sent, begin, learning_s), LIMIT, learning_s),
        "sent": len(measured),
        "most_above_the_rate_share": most_above(sent, LIMIT) / LIMIT,
    }
    yield judged("overestimate", figures, {"used": at_least(0.95)})


def with_high_maximum(tokens: int) -> tuple[Estimate, Usage]:
    """Ask for four times the answer that comes."""
    return Estimate(20, TOO_HIGH * tokens), Usage(20, tokens)
