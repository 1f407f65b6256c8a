"""restart: Valkey is killed in mid run and comes back at once, empty; what goes out too much.

`too_much_share` is the most that went out above the limit's rate in any stretch of time that has
the kill in it, as a share of a minute's limit: 1.0 where a bucket of a minute comes back full.
"""

from collections.abc import Iterator
from functools import partial
from threading import Event
from time import monotonic
from typing import Any

from benchmarks.common.figures import at_most, judged
from benchmarks.limits_cases.crowd import PROCESSES, closed_loop, in_order, share_used, within
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.processes import run_together
from benchmarks.limits_cases.replay import most_across
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import open_ours
from promptmill.workers.limits.limit import Dimension, Scope

LIMIT = 2_000_000
SCOPE = Scope("gemini", "m", "a", ((Dimension.TPM, LIMIT),), 10_000)


def restart(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure a restart in the middle of the run."""
    seconds = plan.seconds_or(40.0)
    killed = back = 0.0
    with Store() as store:

        def kill_and_start(begin: float) -> None:
            nonlocal killed, back
            Event().wait(max(0.0, begin + seconds / 2 - monotonic()))
            store.kill()
            killed = monotonic()
            store.start()
            back = monotonic()

        works = [
            partial(closed_loop, partial(open_ours, scope=SCOPE), store.url, seed=seed)
            for seed in range(PROCESSES)
        ]
        begin, sent = run_together(works, seconds, meanwhile=kill_and_start)
    sent = in_order(sent)
    end = begin + seconds
    figures = {
        "seconds": seconds,
        "away_s": back - killed,
        "too_much_share": most_across(sent, killed, LIMIT) / LIMIT,
        "sent_while_away": len(within(sent, killed, back - killed)),
        "used_before": share_used(within(sent, begin, killed - begin), LIMIT, killed - begin),
        "used_after": share_used(within(sent, back, end - back), LIMIT, end - back),
    }
    demands = {"too_much_share": at_most(0.01), "sent_while_away": at_most(0)}
    yield judged("restart", figures, demands)
