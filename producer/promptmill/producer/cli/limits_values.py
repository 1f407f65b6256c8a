"""What `promptmill limits --json` prints: one object a scope. The names are kept as they are."""

from typing import Any

from promptmill.producer.advice import how_to_resume
from promptmill.producer.limits.learned import advise
from promptmill.producer.limits.standing import DimensionStanding, ScopeStanding
from promptmill.schema.live_limits import ACCOUNT, EVERY_MODEL


def as_object(standing: ScopeStanding, *, redis: bool) -> dict[str, Any]:
    """Tell of a scope; *redis*: it could be asked."""
    level = standing.level
    held_back = standing.held_by_max_tokens
    return {
        "provider": standing.account.provider,
        "key": standing.account.key,
        "scope": standing.name,
        "kind": _kind(standing.name),
        "redis": redis,
        "in_flight": standing.in_flight,
        "concurrency": standing.concurrency,
        "limits": [_limit(each) for each in standing.dimensions],
        "multiplier": level.multiplier if level else None,
        "whole_again_s": standing.whole_again_s if level else None,
        "paused_s": level.paused_s if level else None,
        "paused_why": level.paused_why if level else None,
        "pauses": [
            {
                "kind": pause.kind,
                "reason": pause.reason,
                "until_at": pause.until_at,
                "what_to_do": how_to_resume(pause),
            }
            for pause in standing.pauses
        ],
        "booked_ahead_s": level.booked_ahead_s if level else None,
        "queued_s": standing.queued_s if level else None,
        "idle_s": standing.idle_s,
        "to_be_done": [
            {
                "batch": each.batch_id,
                "model": each.scope.model,
                "pending": each.pending,
                "queued": each.queued,
                "running": each.running,
                "waiting": each.waiting,
            }
            for each in standing.waits
        ],
        "learned": [
            {
                "model": model,
                "calls": learned.calls,
                "input_ratio": learned.input_ratio,
                "answer_tokens": learned.answer_tokens,
                "max_tokens": learned.max_tokens,
                "what_to_do": advise(learned) if model in held_back else None,
            }
            for model, learned in standing.learned.items()
        ],
    }


def _kind(name: str) -> str:
    if name == ACCOUNT:
        return "account"
    if name == EVERY_MODEL:
        return "any other model"
    return "family" if set("*?[") & set(name) else "model"


def _limit(standing: DimensionStanding) -> dict[str, Any]:
    level = standing.level
    by_day = standing.dimension.endswith("d")
    return {
        "dimension": standing.dimension,
        "configured": standing.configured,
        "is_live": standing.is_live,
        "told": level.told if level else None,
        "enforced": level.limit if level else None,
        "probing": level.probing if level else None,
        "level": level.level if level and not by_day else None,
        "depth": level.depth if level and not by_day else None,
        "used_today": level.level if level and by_day else None,
        "per_second": level.rate_s if level and not by_day else None,
    }
