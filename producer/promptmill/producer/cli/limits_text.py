"""What there is to say of a scope in words: pauses, a cut rate, who waits, what was learned."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil, inf

from promptmill.producer.advice import how_to_resume
from promptmill.producer.figures import duration, plural
from promptmill.producer.limits.learned import advise
from promptmill.producer.limits.standing import ScopeStanding
from promptmill.schema.backlog import BatchBacklog
from promptmill.schema.live_limits import ACCOUNT, EVERY_MODEL
from promptmill.schema.pauses import Pause
from promptmill.schema.presence import NO_KEY

_LONGEST_REASON = 200
_MOST_BATCHES = 5
_IDLE_S = 3600.0


def amount(value: float) -> str:
    """Write a limit as people type it: 500, 200k, 1.5M; exactly, where that is short."""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale and (value / scale * 100).is_integer():
            return f"{value / scale:g}{letter}"
    return f"{value:,.10g}"


def scope_name(standing: ScopeStanding) -> str:
    """Name a scope for people."""
    return {ACCOUNT: "all models", EVERY_MODEL: "any other model"}.get(standing.name, standing.name)


def heading(standing: ScopeStanding) -> str:
    """Name a provider's key, and how many calls are open with it."""
    key = f"key {standing.account.key}" if standing.account.key else ""
    return "  ".join(filter(None, (standing.account.provider, key, _calls(standing))))


def remarks(standing: ScopeStanding, *, now: datetime) -> Iterator[str]:
    """Tell what holds a scope back, who waits for it, and what to do."""
    yield from _limiter_pause(standing, now)
    for pause in standing.pauses:
        yield _pause(pause)
    yield from _pace(standing)
    if standing.waits:
        yield f"to be done: {_batches(standing.waits)}"
    for model, learned in standing.learned.items():
        whose = "" if model == standing.name else f" of {model}"
        yield (
            f"learned{whose}: {learned.input_ratio:.2f} input tokens for each estimated,"
            f" {learned.answer_tokens:,.0f} for an answer"
        )
        if model in standing.held_by_max_tokens:
            yield advise(learned) or ""
    if standing.idle_s is not None and standing.idle_s > _IDLE_S:
        yield f"last used {duration(standing.idle_s)} ago"


def limiter_remarks(standing: ScopeStanding, *, now: datetime) -> Iterator[str]:
    """Tell what the shared limiter does to a scope: a pause, a cut, a search, a queue."""
    yield from _limiter_pause(standing, now)
    yield from _pace(standing)


def _pace(standing: ScopeStanding) -> Iterator[str]:
    level = standing.level
    if level is not None and level.multiplier < 1:
        yield (
            f"goes at {level.multiplier:.0%} of its limits since a 429;"
            f" at all of them in {duration(standing.whole_again_s)}"
        )
    if level is not None and any(each.probing for each in level.dimensions):
        yield "no limit is known: requests a minute are tried out"
    if standing.queued_s >= 1:
        yield f"{duration(standing.queued_s)} of work waits for a start"


def _calls(standing: ScopeStanding) -> str:
    now, most = standing.in_flight, standing.concurrency
    if now is None:
        return "" if most is None else f"at most {plural(most, 'call')} in flight"
    return f"{now:,} in flight" + ("" if most is None else f" of at most {plural(most, 'call')}")


def _limiter_pause(standing: ScopeStanding, now: datetime) -> Iterator[str]:
    level = standing.level
    # The pause of a refused key is in both, and SQL's says how it ends.
    in_both = any(each.until_at is None and each.fingerprint != NO_KEY for each in standing.pauses)
    if level is not None and level.paused_s > 0 and not in_both:
        left_s = standing.paused_s(now)
        until = "until told"
        if left_s < inf:
            end = (now + timedelta(seconds=left_s)).astimezone()
            until = f"until {end:%H:%M:%S}, for {duration(ceil(left_s))}"
        yield f"paused {until}: {_short(level.paused_why)}"


def _pause(pause: Pause) -> str:
    until = "told"
    if pause.until_at is not None:
        until = f"{pause.until_at.astimezone():%Y-%m-%d %H:%M:%S}"
    whose = " for workers without a key" if pause.fingerprint == NO_KEY else ""
    return f"paused{whose} until {until}: {_short(pause.reason)}; {how_to_resume(pause)}"


def _short(reason: str) -> str:
    return " ".join(reason.split())[:_LONGEST_REASON]


def _batches(waits: Sequence[BatchBacklog]) -> str:
    texts = [f"batch {each.batch_id} ({_counts(each)})" for each in waits[:_MOST_BATCHES]]
    more = len(waits) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _counts(waits: BatchBacklog) -> str:
    counts = {
        "running": waits.running,
        "queued": waits.queued,
        "waiting": waits.waiting,
        "pending": waits.pending,
    }
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
