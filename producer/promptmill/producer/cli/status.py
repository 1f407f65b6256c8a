"""`promptmill status`: how far a batch is, what went wrong, and what to do about it."""

from collections.abc import Iterator
from typing import Annotated, Any

from typer import Argument, Option

from promptmill.producer.advice import how_to_resume, what_to_do
from promptmill.producer.cli.output import moment, money, plain, print_json, print_table
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.producer.overview import Overview, read_overview
from promptmill.producer.progress import Tally
from promptmill.schema.settings import load_settings
from promptmill.schema.states import BatchState

_LONGEST_MESSAGE = 300
_HEADERS = ("model", "total", "done", "fail", "retries", "refused", "in", "out", "cost")


def status(
    batch: Annotated[
        int | None, Argument(metavar="BATCH", help="Batch id; the latest if left out.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show counts, usage and cost of a batch, why jobs failed, what is paused, and what to do."""
    with opened(load_settings()) as database:
        overview = read_overview(database, batch_or_latest(database, batch))
    if as_json:
        print_json(_as_object(overview))
        return
    for line in _head(overview):
        print(plain(line))
    _print_scopes(overview)
    for line in (*_failures(overview), *_hold_ups(overview)):
        print(plain(line))


def _head(overview: Overview) -> Iterator[str]:
    batch, overall = overview.progress.batch, overview.progress.overall
    yield f"batch {batch.id}  {batch.name}  {overview.progress.state}"
    yield f"{batch.total:,} prompts of {batch.input_name}, submitted {moment(batch.created_at)} UTC"
    if batch.state == BatchState.LOADING:
        yield "still being stored; if its submit was ended, the same command goes on with it"
        return
    yield (
        f"{overall.succeeded:,} answered   {overall.failed:,} failed   "
        f"{overall.cancelled:,} cancelled   {overall.running:,} running   "
        f"{overall.waiting:,} waiting   {overall.pending:,} pending"
    )
    if batch.pauses_at_failures is not None and not overview.progress.finished:
        yield f"pauses when {batch.pauses_at_failures:,} have failed"


def _print_scopes(overview: Overview) -> None:
    if not overview.scopes:
        return
    tallies = list(overview.scopes)
    if len(tallies) > 1:
        tallies.append(overview.progress.overall)
    print()
    print_table(_HEADERS, [_scope_row(tally) for tally in tallies])


def _scope_row(tally: Tally) -> list[str]:
    numbers = (
        tally.total,
        tally.ended,
        tally.failed,
        tally.retries,
        tally.refusals,
        tally.input_tokens,
        tally.output_tokens,
    )
    cost = money(tally.cost_micros, tally.unpriced_calls)
    return [tally.name, *(f"{number:,}" for number in numbers), cost]


def _failures(overview: Overview) -> Iterator[str]:
    if overview.failures:
        yield "\nfailures"
    for group in overview.failures:
        kind = " ".join(filter(None, (group.error_kind or "no attempt", group.error_code)))
        example = group.example
        yield f"  {group.jobs:,} {group.state}: {kind}, such as {example.custom_id}"
        if example.error_text:
            yield f"    {' '.join(example.error_text.split())[:_LONGEST_MESSAGE]}"
        yield f"    {what_to_do(group, overview.progress.batch.id)}"


def _hold_ups(overview: Overview) -> Iterator[str]:
    progress = overview.progress
    if progress.batch.state == BatchState.PAUSED:
        yield f"\npaused: {progress.batch.paused_reason}"
        yield f"    `promptmill resume {progress.batch.id}`"
    for pause in progress.pauses:
        until = f" until {moment(pause.until_at)} UTC" if pause.until_at else ""
        whose = f" (key {pause.fingerprint})" if pause.fingerprint not in ("", "-") else ""
        yield f"\n{f'{pause.provider} {pause.model}'.strip()} paused{until}{whose}: {pause.reason}"
        yield f"    {how_to_resume(pause)}"
    if overview.progress.unattended and progress.batch.state == BatchState.OPEN:
        names = " ".join(overview.progress.unattended)
        yield f"\nno worker for {names}"
        yield f"    start `promptmill worker {names}` and `promptmill dispatch`,"
        yield "    or type `promptmill run` with the same input"


def _as_object(overview: Overview) -> dict[str, Any]:
    progress = overview.progress
    batch = progress.batch
    return {
        "batch": batch.id,
        "name": batch.name,
        "state": batch.state,
        "paused_reason": batch.paused_reason,
        "pauses_at_failures": batch.pauses_at_failures,
        "finished": progress.finished,
        "input_name": batch.input_name,
        "created_at": batch.created_at,
        **_tally_object(progress.overall),
        "total": batch.total,
        "models": [{"name": tally.name} | _tally_object(tally) for tally in overview.scopes],
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
    }
