"""`promptmill pause`, `resume`, `cancel` and `retry`: what people order."""

from typing import Annotated

from typer import Argument, Option

from promptmill.producer import control
from promptmill.producer.cli.output import note, print_json
from promptmill.producer.failure_limit import limit_failures, parse_failure_limit
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.reading import batch_row
from promptmill.schema.settings import load_settings
from promptmill.schema.states import BatchState, JobState

Target = Annotated[str, Argument(metavar="TARGET", help="A batch id, or a provider's name.")]
Json = Annotated[bool, Option("--json", help="One JSON object.")]
_FAILED = (JobState.FAILED, JobState.QUARANTINED)


def pause(
    target: Target,
    reason: Annotated[str, Option(help="Why, for those who ask.")] = "paused by hand",
    as_json: Json = False,
) -> None:
    """Hold a batch, or a provider for all batches, until told. Calls that are open end."""
    settings = load_settings()
    with opened(settings) as database:
        if target.isdecimal():
            changed = control.pause(database, int(target), reason=reason)
        else:
            control.pause_provider(database, settings, target, reason=reason)
            changed = True
    told = "paused" if changed else "not changed: only an open batch can be paused"
    _tell(as_json, f"{_named(target)} {told}", target=target, changed=changed)


def resume(
    target: Target,
    max_failures: Annotated[
        str | None,
        Option(metavar="N|N%", help="Pause the batch when so many have failed: 300, 10%, none."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a paused batch or provider go on."""
    settings = load_settings()
    limit = None if max_failures is None else parse_failure_limit(max_failures)
    if limit is not None and not target.isdecimal():
        msg = "--max-failures is of a batch, and a provider was named"
        raise UsageError(msg)
    with opened(settings) as database:
        if target.isdecimal():
            changed = limit is not None and limit_failures(database, int(target), limit)
            changed = control.resume(database, int(target)) or changed
        else:
            changed = control.resume_provider(database, settings, target) > 0
    told = "goes on" if changed else "was not paused"
    _tell(as_json, f"{_named(target)} {told}", target=target, changed=changed)


def cancel(
    batch: Annotated[int, Argument(metavar="BATCH", help="Batch id.")],
    as_json: Json = False,
) -> None:
    """Stop a batch. What is answered stays; calls that are open end and are stored."""
    with opened(load_settings()) as database:
        jobs = control.cancel(database, batch)
    _tell(as_json, f"batch {batch}: {jobs:,} jobs cancelled", batch=batch, cancelled=jobs)


def retry(
    batch: Annotated[
        int | None, Argument(metavar="BATCH", help="Batch id; the latest if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Try again what failed or is held; of a cancelled batch, what was cancelled too."""
    with opened(load_settings()) as database:
        batch_id = batch_or_latest(database, batch)
        states = (*_FAILED, JobState.CANCELLED) if _is_cancelled(database, batch_id) else _FAILED
        jobs = control.retry(database, batch_id, states=states)
    told = (
        f"batch {batch_id}: {jobs:,} to be done again, by workers that run, or by `promptmill run`"
        " with the same input"
        if jobs
        else f"batch {batch_id}: nothing of it failed or is held"
    )
    _tell(as_json, told, batch=batch_id, retried=jobs)


def _is_cancelled(database: Database, batch_id: int) -> bool:
    with database.read() as connection:
        row = batch_row(connection, batch_id)
    return row is not None and row.state == BatchState.CANCELLED


def _named(target: str) -> str:
    return f"batch {target}" if target.isdecimal() else target


def _tell(as_json: bool, text: str, **told: object) -> None:
    if as_json:
        print_json(told)
    else:
        note(text)
