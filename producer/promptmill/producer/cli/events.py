"""What `--json` prints while a batch runs: one object a line, described in docs/cli.md."""

from datetime import UTC, datetime
from typing import Any

from promptmill.producer.cli.live_table import pause_texts
from promptmill.producer.watching.news import News
from promptmill.producer.watching.progress import ALL, Tally
from promptmill.producer.watching.sight import Ceiling, Sight
from promptmill.producer.watching.spent import budget_fields


def progress_event(sight: Sight) -> dict[str, Any]:
    """Tell how far a batch is: `progress`, or at the end `finished`."""
    progress = sight.progress
    overall = progress.overall
    return {
        "event": "finished" if progress.finished else "progress",
        "at": _at(sight.at),
        "batch": progress.batch.id,
        "state": progress.state,
        **_counts(overall),
        **budget_fields(progress.batch.spending),
        **_speed(sight, ALL),
        "left_s": None if sight.left_s is None else round(sight.left_s, 1),
        "providers": [
            {"name": tally.name, **_counts(tally), **_speed(sight, tally.name)}
            | _limits(sight.ceilings.get(tally.name, Ceiling()))
            for tally in progress.providers
        ],
        "pauses": pause_texts(sight),
    }


def news_event(news: News, *, batch_id: int) -> dict[str, Any]:
    """Tell what came up: `refused`, `held`, `paused` or `resumed`."""
    return {
        "event": news.kind,
        "at": _at(news.at),
        "batch": batch_id,
        "provider": news.provider or None,
        "text": news.text,
    }


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "total": tally.total,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "cancelled": tally.cancelled,
        "running": tally.running,
        "waiting": tally.waiting,
        "pending": tally.pending,
        "retries": tally.retries,
        "refusals": tally.refusals,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "cost_usd": None if tally.unpriced_calls else tally.cost_micros / 1e6,
        "hits": tally.hits,
    }


def _speed(sight: Sight, name: str) -> dict[str, Any]:
    pace = sight.pace(name)
    return {
        "per_second": round(pace.per_second, 2),
        "requests_per_minute": round(pace.requests_a_minute, 1),
        "tokens_per_minute": round(pace.tokens_a_minute, 1),
    }


def _limits(ceiling: Ceiling) -> dict[str, Any]:
    return {"rpm": ceiling.rpm, "tpm": ceiling.tpm}


def _at(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"
