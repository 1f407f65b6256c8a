"""`promptmill status`: how far a batch is, what went wrong, and what to do about it."""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from promptmill.producer.advice import how_to_resume, what_to_do
from promptmill.producer.cli.limits_text import amount, limiter_remarks, scope_name
from promptmill.producer.cli.output import moment, plain, print_json, print_table
from promptmill.producer.figures import human, milliseconds, plural
from promptmill.producer.limits.run_limits import as_run
from promptmill.producer.limits.standing import ScopeStanding
from promptmill.producer.limits.watch import redis_in_use, watching
from promptmill.producer.opening import batch_or_latest, glanced
from promptmill.producer.watching.lane_text import lane_lines
from promptmill.producer.watching.latency import Percentiles
from promptmill.producer.watching.overview import Overview, read_overview
from promptmill.producer.watching.progress import ALL, Tally
from promptmill.producer.watching.sight import relevant
from promptmill.producer.watching.spent import budget_fields, budget_text, cost_text
from promptmill.schema.connection import Source
from promptmill.schema.moves.pruning import Pruned
from promptmill.schema.settings import Settings, load_settings
from promptmill.schema.states import BatchState

_LONGEST_MESSAGE = 300
_PRUNED = {
    Pruned.PROMPTS: "its prompts and earlier attempts are gone",
    Pruned.ALL: "its prompts and answers are gone",
}
_HEADERS = ("model", "total", "done", "fail", "again", "in", "out", "p50", "p95", "cost")
_DIMENSIONS = {
    "rpm": "requests a minute",
    "tpm": "tokens a minute",
    "itpm": "input tokens a minute",
    "otpm": "output tokens a minute",
    "rpd": "requests a day",
    "tpd": "tokens a day",
}


def show_status(batch: int | None, *, as_json: bool) -> None:
    """Print all there is to tell of *batch*, or of the latest."""
    settings = load_settings()
    with glanced(settings) as database:
        batch_id = batch_or_latest(database, batch)
        overview = read_overview(database, batch_id, settings.pools)
        standings = _standings(database, settings, overview)
    if as_json:
        print_json(_as_object(overview, standings))
        return
    for line in _head(overview):
        print(plain(line))
    _print_scopes(overview)
    known = {*settings.providers, *settings.pools}
    for line in (*_limits(standings), *_failures(overview), *_hold_ups(overview, known)):
        print(plain(line))


def _standings(database: Source, settings: Settings, overview: Overview) -> Sequence[ScopeStanding]:
    """Tell how the limits of what is left stand; of an ended batch there is nothing to tell."""
    if overview.progress.finished:
        return ()
    as_answered = as_run(settings, overview.progress.batch)
    with watching(as_answered, redis_in_use(settings)) as limits:
        known = limits.read(database, monotonic=time.monotonic())
    return relevant(known, overview.progress)


def _head(overview: Overview) -> Iterator[str]:
    batch, overall = overview.progress.batch, overview.progress.overall
    yield f"batch {batch.id}  {batch.name}  {overview.progress.state}"
    prompts = plural(batch.total, "prompt")
    yield f"{prompts} of {batch.input_name}, submitted {moment(batch.created_at)} UTC"
    if batch.state == BatchState.LOADING:
        yield "still being stored; if its submit was ended, the same command goes on with it"
        return
    yield (
        f"{overall.succeeded:,} answered   {overall.failed:,} failed   "
        f"{overall.cancelled:,} cancelled   {overall.running:,} running   "
        f"{overall.waiting:,} waiting   {overall.pending:,} pending"
    )
    yield from lane_lines(overview.progress.away)
    if overall.hits:
        yield f"cache: {overall.hits:,} took the answer of another prompt, and were not called"
    if took := overview.latency.get(ALL):
        yield (
            f"latency: half within {milliseconds(took.p50_ms)}, 95% within"
            f" {milliseconds(took.p95_ms)}, 99% within {milliseconds(took.p99_ms)},"
            f" slowest {milliseconds(took.max_ms)}"
        )
    if first := overview.first_token.get(ALL):
        yield (
            f"first token: half within {milliseconds(first.p50_ms)}, 95% within"
            f" {milliseconds(first.p95_ms)}, of {first.answers:,} streamed"
        )
    if batch.pruned is not None:
        yield f"pruned: {_PRUNED[Pruned(batch.pruned)]}; the sums are kept"
    if batch.pauses_at_failures is not None and not overview.progress.finished:
        yield f"pauses when {batch.pauses_at_failures:,} have failed"


def _print_scopes(overview: Overview) -> None:
    if not overview.scopes:
        return
    tallies = list(overview.scopes)
    if len(tallies) > 1:
        tallies.append(overview.progress.overall)
    print()
    print_table(
        _HEADERS, [_scope_row(tally, overview.latency.get(tally.name)) for tally in tallies]
    )


def _scope_row(tally: Tally, took: Percentiles | None) -> list[str]:
    counts = (tally.total, tally.ended, tally.failed, tally.retries + tally.refusals)
    tokens = (tally.input_tokens, tally.output_tokens)
    latencies = (took.p50_ms, took.p95_ms) if took else ()
    return [
        tally.name,
        *(f"{number:,}" for number in counts),
        *(human(number) for number in tokens),
        *([milliseconds(one) for one in latencies] or ["-", "-"]),
        cost_text(tally),
    ]


def _limits(standings: Sequence[ScopeStanding]) -> Iterator[str]:
    """Tell in words what limits what is left."""
    told = [one for one in standings if _is_known(one)]
    if told:
        yield "\nlimits"
    now = datetime.now(UTC)
    for standing in told:
        limits = _in_force(standing)
        words = [f"{amount(limit)} {_DIMENSIONS[name]}" for name, limit in limits.items()]
        name = f"{standing.account.provider} {scope_name(standing)}"
        yield f"  {name}: {', '.join(words) or 'none is known'}"
        for remark in limiter_remarks(standing, now=now):
            yield f"    {remark}"


def _is_known(standing: ScopeStanding) -> bool:
    return bool(_in_force(standing)) or standing.level is not None


def _in_force(standing: ScopeStanding) -> dict[str, float]:
    """Tell what is enforced, or else configured, by the dimension."""
    found = {}
    for each in standing.dimensions:
        level = each.level
        limit = level.limit if level is not None and not level.probing else each.configured
        if limit is not None:
            found[each.dimension] = limit
    return found


def _failures(overview: Overview) -> Iterator[str]:
    if overview.failures:
        counted = overview.failures_counted
        yield "\nfailures" + (f" (of the first {counted:,})" if counted else "")
    for group in overview.failures:
        kind = " ".join(filter(None, (group.error_kind or "no attempt", group.error_code)))
        example = group.example
        yield f"  {group.jobs:,} {group.state}: {kind}, such as {example.custom_id}"
        if example.error_text:
            yield f"    {' '.join(example.error_text.split())[:_LONGEST_MESSAGE]}"
        yield f"    {what_to_do(group, overview.progress.batch.id)}"


def _hold_ups(overview: Overview, known: Collection[str]) -> Iterator[str]:
    """Say what holds the batch up; *known*: the providers and pools of the settings."""
    progress = overview.progress
    spending = progress.batch.spending
    if spending is not None and spending.budget is not None:
        yield f"\nbudget  {budget_text(spending)}"
    if progress.batch.state == BatchState.PAUSED and not progress.finished:
        yield f"\npaused: {progress.batch.paused_reason}"
        if progress.budget_reached:
            yield "    the command that submitted it, with a higher --budget, lets it go on"
        else:
            yield f"    `promptmill resume {progress.batch.id}`"
    for pause in progress.pauses:
        until = f" until {moment(pause.until_at)} UTC" if pause.until_at else ""
        whose = f" (key {pause.fingerprint})" if pause.fingerprint not in ("", "-") else ""
        yield f"\n{f'{pause.provider} {pause.model}'.strip()} paused{until}{whose}: {pause.reason}"
        yield f"    {how_to_resume(pause)}"
    if progress.batch.state == BatchState.OPEN:
        yield from _unattended(progress.unattended, known)


def _unattended(names: Sequence[str], known: Collection[str]) -> Iterator[str]:
    if ours := " ".join(name for name in names if name in known):
        yield f"\nno worker for {ours}"
        yield f"    start `promptmill worker {ours}` and `promptmill dispatch`,"
        yield "    or type `promptmill run` with the same input"
    for name in names:
        if name not in known:
            yield f"\n{name} is asked, and is neither a provider nor a pool of these settings"
            yield "    name it there again, and start dispatcher and workers anew"


def _as_object(overview: Overview, standings: Sequence[ScopeStanding]) -> dict[str, Any]:
    progress = overview.progress
    batch = progress.batch
    return {
        "batch": batch.id,
        "name": batch.name,
        "state": progress.state,
        "paused_reason": batch.paused_reason,
        "pauses_at_failures": batch.pauses_at_failures,
        "pruned": batch.pruned,
        "finished": progress.finished,
        "input_name": batch.input_name,
        "created_at": batch.created_at,
        **_tally_object(progress.overall),
        **budget_fields(batch.spending),
        "total": batch.total,
        "latency": overview.latency.get(ALL),
        "first_token": overview.first_token.get(ALL),
        "models": [
            {"name": tally.name}
            | _tally_object(tally)
            | {
                "latency": overview.latency.get(tally.name),
                "first_token": overview.first_token.get(tally.name),
            }
            for tally in overview.scopes
        ],
        "limits": [
            {
                "provider": one.account.provider,
                "key": one.account.key,
                "name": one.name,
                "limits": _in_force(one),
                "remarks": list(limiter_remarks(one, now=datetime.now(UTC))),
            }
            for one in standings
            if _is_known(one)
        ],
        "failures_counted": overview.failures_counted or progress.overall.failed,
        "failures": [
            {
                "state": group.state,
                "error_kind": group.error_kind,
                "error_code": group.error_code,
                "jobs": group.jobs,
                "custom_id": group.example.custom_id,
                "error_text": group.example.error_text,
                "what_to_do": what_to_do(group, batch.id),
            }
            for group in overview.failures
        ],
        "pauses": [
            {
                "provider": pause.provider,
                "model": pause.model,
                "kind": pause.kind,
                "reason": pause.reason,
                "until_at": pause.until_at,
                "what_to_do": how_to_resume(pause),
            }
            for pause in progress.pauses
        ],
        "without_worker": overview.progress.unattended,
        "provider_batches": [
            {
                "provider": one.provider,
                "model": one.model,
                "jobs": one.jobs,
                "done": one.done,
                "provider_id": one.provider_id,
                "sent_at": one.sent_at,
                "problem": one.problem,
            }
            for one in progress.away
        ],
    }


def _tally_object(tally: Tally) -> dict[str, Any]:
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
        "unpriced_calls": tally.unpriced_calls,
        "hits": tally.hits,
    }
