"""`promptmill estimate`: what prompts will cost, before anything is spent."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from promptmill.producer.cli.output import note, print_json, print_table
from promptmill.producer.estimate.budgets import misspelt
from promptmill.producer.estimate.duration import Duration, duration_at_limits
from promptmill.producer.estimate.forecast import (
    Forecast,
    OutputBy,
    Range,
    forecast,
    total_cost,
)
from promptmill.producer.figures import duration, human, plural
from promptmill.producer.limits.standing import Known, read_known
from promptmill.producer.opening import opened
from promptmill.producer.submitting.request import Plan, SubmitRequest
from promptmill.producer.submitting.submission import examine
from promptmill.schema.errors import ContractError, ServiceError, UsageError
from promptmill.schema.money import dollars
from promptmill.schema.settings import Settings
from promptmill.schema.truncation import Truncate

_HEADERS = ("model", "prompts", "tokens in", "tokens out", "cost", "at most")
_UNKNOWN = "unknown"


def show_estimate(settings: Settings, request: SubmitRequest, *, as_json: bool) -> None:
    """Estimate *request*, and print it."""
    plan = examine(request, settings)
    foreseen = partial(
        forecast,
        plan.checked,
        plan.routes,
        settings.providers,
        pools=settings.pools,
        truncation=request.truncation,
    )
    try:
        with opened(settings) as database:
            forecasts = foreseen(database)
            known = read_known(database)
    except (UsageError, ServiceError, ContractError):  # no database yet: nothing to learn from
        forecasts, known = foreseen(None), Known()
    held = duration_at_limits(forecasts, settings, known)
    if as_json:
        print_json(_as_object(plan, forecasts, held))
        return
    print_table(_HEADERS, [_row(one) for one in forecasts])
    for line in _remarks(
        plan, forecasts, held, misspelt(plan.routes, settings.providers, settings.pools)
    ):
        note(line)
    for line in _left_out(request, settings):
        note(line)


def range_text(found: Range | None, write: Callable[[float], str]) -> str:
    """Write a range as people do: `2.1M to 2.4M`."""
    if found is None:
        return _UNKNOWN
    low = write(found.low)
    if found.high is None:
        return f"{low} or more"
    high = write(found.high)
    return high if low == high else f"{low} to {high}"


def usd_range(micros: float) -> str:
    """Write one end of a range of costs."""
    return dollars(micros)


def _row(one: Forecast) -> list[str]:
    return [
        f"{one.route.provider} {one.route.model}",
        f"{one.prompts:,}",
        range_text(one.input_tokens, human),
        range_text(one.output_tokens, human),
        range_text(one.cost_micros, dollars),
        _UNKNOWN if one.most_micros is None else dollars(one.most_micros),
    ]


def _remarks(
    plan: Plan, forecasts: Sequence[Forecast], held: Duration | None, doubts: Iterable[str]
) -> list[str]:
    counted = sum(one.counted for one in forecasts)
    of_all = "all of them" if counted >= sum(one.prompts for one in forecasts) else "a sample"
    lines = [f"{plural(plan.checked.rows, 'prompt')} of {plan.name} ({plan.checked.kind})"]
    if len(forecasts) > 1:
        lines[0] += f": {range_text(total_cost(forecasts), dollars)} together"
    lines.append(f"tokens in are counted on {of_all}; refusals and retries are not in it")
    if any(one.output_by is OutputBy.HISTORY for one in forecasts):
        lines.append("tokens out: half to twice what answers of the model in SQL took")
    if any(one.output_by is OutputBy.LONGEST for one in forecasts):
        lines.append("tokens out: from one to all that is allowed; -o max_tokens N allows less")
    if any(one.cost_micros is None for one in forecasts):
        lines.append("a price is unknown: docs/settings.md, Prices, says how to set it")
    lines.extend(doubts)
    if held is None:
        lines.append(
            "time: unknown, for no rate limit is known: docs/rate-limits.md says how to set one"
        )
    else:
        lines.append(f"time: {range_text(held.seconds, duration)} at least, by {held.by}")
    return lines


def _left_out(request: SubmitRequest, settings: Settings) -> Iterator[str]:
    """Say what may be asked besides, or less."""
    others = settings.fallbacks if request.fallbacks is None else request.fallbacks
    if others:
        yield "fallbacks are not in it: who is asked in their place costs its own price"
    if request.truncation is not None and request.truncation.how is Truncate.ERROR:
        yield "prompts that are longer than --max-input-tokens are in it, and are not sent"


def _as_object(plan: Plan, forecasts: Sequence[Forecast], held: Duration | None) -> dict[str, Any]:
    return {
        "input_name": plan.name,
        "kind": plan.checked.kind,
        "prompts": plan.checked.rows,
        **_usd("cost", total_cost(forecasts)),
        **_ends("seconds", held.seconds if held else None),
        "limited_by": held.by if held else None,
        "models": [
            {
                "provider": one.route.provider,
                "model": one.route.model,
                "prompts": one.prompts,
                "counted": one.counted,
                **_ends("input_tokens", one.input_tokens),
                **_ends("output_tokens", one.output_tokens),
                "output_by": one.output_by,
                **_usd("cost", one.cost_micros),
                "at_most_usd": None if one.most_micros is None else one.most_micros / 1e6,
            }
            for one in forecasts
        ],
    }


def _ends(name: str, found: Range | None) -> dict[str, int | None]:
    low, high = (found.low, found.high) if found else (None, None)
    return {
        f"{name}_low": None if low is None else round(low),
        f"{name}_high": None if high is None else round(high),
    }


def _usd(name: str, found: Range | None) -> dict[str, float | None]:
    low, high = (found.low, found.high) if found else (None, None)
    return {
        f"{name}_usd_low": None if low is None else round(low / 1e6, 6),
        f"{name}_usd_high": None if high is None else round(high / 1e6, 6),
    }
