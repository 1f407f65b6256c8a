"""All that a report tells of a batch: read once, counted in SQL, small whatever the batch is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promptmill.producer.limits.run_limits import as_run
from promptmill.producer.report.timeline import choose_bins
from promptmill.producer.watching.latency import Percentiles, merged, percentiles
from promptmill.producer.watching.overview import Overview, read_overview
from promptmill.schema.answers import job_span
from promptmill.schema.ceilings import ModelLimits, limits_of
from promptmill.schema.course import (
    Bins,
    Calls,
    PromptCost,
    Scope,
    bodies_of,
    calls_by_time,
    dearest_prompts,
    ended_by_time,
    latencies,
    slowest_prompts,
    worked,
)
from promptmill.schema.database import Connection, Database
from promptmill.schema.live_limits import LiveLimit, live_ceilings, read_limits
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.reading import ScopeUsage, batch_usage
from promptmill.schema.settings import Settings

MOST_GROUPS = 6
"""of models that have a plot of their own; all are in the table"""
_MOST_PROMPTS = 10
_LONGEST_PROMPT = 300


@dataclass(frozen=True, slots=True)
class Group:
    """Models that share their limits: mostly one."""

    provider: str
    name: str
    """of the model, or the pattern of its family"""
    models: tuple[str, ...]
    limits: Mapping[str, float]
    """rpm, tpm, … as its latest run was given them, else by the settings of now, or live"""
    histogram: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Model:
    """What one model was asked, and what that took."""

    provider: str
    name: str
    calls: int
    answers: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    unpriced_calls: int
    latency: Percentiles | None


@dataclass(frozen=True, slots=True)
class Course:
    """What happened when. Empty where nothing was called yet."""

    bins: Bins
    count: int
    """of bins"""
    last_at: datetime
    """end of the last call"""
    ended: Mapping[tuple[int, int], int]
    """(bin, state) to jobs"""
    calls: Sequence[Calls]

    @property
    def span_s(self) -> float:
        """Seconds from the first call to the end of the last."""
        return (self.last_at - self.bins.origin).total_seconds()


@dataclass(frozen=True, slots=True)
class Facts:
    """A batch, for its report."""

    overview: Overview
    read_at: datetime
    groups: tuple[Group, ...]
    """with the most calls first, at most `MOST_GROUPS`"""
    models: tuple[Model, ...]
    """the dearest first"""
    course: Course | None
    """None: nothing was called yet"""
    slowest: tuple[PromptCost, ...]
    dearest: tuple[PromptCost, ...]
    prompts: Mapping[int, str]
    """job id to the prompt's text, where that was asked for"""


def gather(
    database: Database, settings: Settings, batch_id: int, *, now: datetime, with_prompts: bool
) -> Facts:
    """Read all of it, in some seconds for a million jobs. Raises UsageError for no such batch."""
    overview = read_overview(database, batch_id, settings.pools)
    with database.read() as connection:
        usage = batch_usage(connection, batch_id)
        histograms = latencies(connection, batch_id)
        as_answered = as_run(settings, overview.progress.batch)
        groups = _groups(as_answered, read_limits(connection), usage, histograms)
        span = job_span(connection, batch_id)
        course = _course(connection, batch_id, span, groups)
        slowest: list[PromptCost] = []
        dearest: list[PromptCost] = []
        if span and course:
            slowest = slowest_prompts(connection, batch_id, span=span, most=_MOST_PROMPTS)
            dearest = dearest_prompts(connection, batch_id, span=span, most=_MOST_PROMPTS)
        wanted = [one.job_id for one in (*slowest, *dearest)] if with_prompts else []
        prompts = bodies_of(connection, wanted)
    return Facts(
        overview=overview,
        read_at=now,
        groups=groups,
        models=tuple(_models(usage, histograms)),
        course=course,
        slowest=tuple(slowest),
        dearest=tuple(dearest),
        prompts={job_id: _text_of(body) for job_id, body in prompts.items()},
    )


def _course(
    connection: Connection, batch_id: int, span: tuple[int, int] | None, groups: Sequence[Group]
) -> Course | None:
    when = worked(connection, batch_id, span=span) if span else None
    if span is None or when is None:
        return None
    bins, count = choose_bins(*when)
    numbers = {
        (group.provider, model): no for no, group in enumerate(groups) for model in group.models
    }
    return Course(
        bins=bins,
        count=count,
        last_at=when[1],
        ended=ended_by_time(connection, batch_id, bins, span=span),
        calls=calls_by_time(connection, batch_id, bins, numbers, span=span),
    )


def _groups(
    settings: Settings,
    live: Sequence[LiveLimit],
    usage: Sequence[ScopeUsage],
    histograms: Mapping[Scope, Mapping[int, int]],
) -> tuple[Group, ...]:
    calls: dict[Scope, int] = {}
    members: dict[Scope, list[str]] = {}
    limits: dict[Scope, Mapping[str, float]] = {}
    for provider, model in sorted({(one.provider, one.model) for one in usage}):
        held = _held(settings, live, provider, model)
        key = (provider, held.pool or model) if held else (provider, model)
        members.setdefault(key, []).append(model)
        limits[key] = held.limits if held else {}
        calls[key] = calls.get(key, 0) + _sent(usage, provider, model)
    return tuple(
        Group(
            provider=key[0],
            name=key[1],
            models=tuple(members[key]),
            limits=limits[key],
            histogram=merged(histograms.get((key[0], model), {}) for model in members[key]),
        )
        for key in sorted(calls, key=lambda key: (-calls[key], key))[:MOST_GROUPS]
    )


def _held(
    settings: Settings, live: Sequence[LiveLimit], provider: str, model: str
) -> ModelLimits | None:
    known = settings.providers.get(provider)
    return limits_of(known, model, live_ceilings(live, provider)) if known else None


def _sent(usage: Sequence[ScopeUsage], provider: str, model: str) -> int:
    return sum(
        one.calls
        for one in usage
        if (one.provider, one.model) == (provider, model) and one.outcome != AttemptOutcome.NOT_SENT
    )


def _models(
    usage: Sequence[ScopeUsage], histograms: Mapping[Scope, Mapping[int, int]]
) -> list[Model]:
    found = []
    for provider, name in {(one.provider, one.model) for one in usage}:
        own = [one for one in usage if (one.provider, one.model) == (provider, name)]
        paid = (AttemptOutcome.SUCCEEDED, AttemptOutcome.LATE)
        found.append(
            Model(
                provider=provider,
                name=name,
                calls=_sent(usage, provider, name),
                answers=sum(one.calls for one in own if one.outcome == AttemptOutcome.SUCCEEDED),
                input_tokens=sum(one.input_tokens for one in own),
                output_tokens=sum(one.output_tokens for one in own),
                cost_micros=sum(one.cost_micros for one in own),
                unpriced_calls=sum(one.unpriced_calls for one in own if one.outcome in paid),
                latency=percentiles(histograms.get((provider, name), {})),
            )
        )
    return sorted(found, key=lambda one: (-one.cost_micros, -one.calls, one.provider, one.name))


def _text_of(body: str) -> str:
    """Take the last message's text out of a request, cut to what a table has place for."""
    asked: Any = json.loads(body)
    messages = asked.get("messages") if isinstance(asked, dict) else None
    last = messages[-1].get("content") if messages and isinstance(messages[-1], dict) else None
    text = " ".join((last if isinstance(last, str) else body).split())
    return text if len(text) <= _LONGEST_PROMPT else text[: _LONGEST_PROMPT - 1] + "…"
