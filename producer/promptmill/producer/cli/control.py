"""`promptmill pause`, `resume`, `cancel`, `retry` and `priority`: what people order."""

from promptmill.producer import control
from promptmill.producer.cli.output import Counter, note, print_json
from promptmill.producer.figures import plural
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.producer.submitting.failure_limit import limit_failures, parse_failure_limit
from promptmill.producer.watching.progress import ENDED, Progress, read_progress
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.steering import Only
from promptmill.schema.reading import batch_row
from promptmill.schema.settings import load_settings
from promptmill.schema.states import BatchState, JobState

_FAILED = (JobState.FAILED, JobState.QUARANTINED)
_OVER = "has ended already: nothing of it is left to do"


def pause(target: str, *, reason: str, as_json: bool) -> None:
    """Hold a batch, which is named by its number, or a provider."""
    settings = load_settings()
    with opened(settings) as database:
        if target.isdecimal():
            changed = control.pause(database, int(target), reason=reason)
            over = not changed and read_progress(database, int(target)).finished
        else:
            control.pause_provider(database, settings, target, reason=reason)
            changed, over = True, False
    told = "paused" if changed else "not changed: only an open batch can be paused"
    if over:
        told = _OVER
    _tell(as_json, f"{_named(target)} {told}", target=target, changed=changed)


def resume(target: str, *, max_failures: str | None, as_json: bool) -> None:
    """Let a batch or a provider go on."""
    settings = load_settings()
    limit = None if max_failures is None else parse_failure_limit(max_failures)
    if limit is not None and not target.isdecimal():
        msg = "--max-failures is of a batch, and a provider was named"
        raise UsageError(msg)
    with opened(settings) as database:
        if target.isdecimal():
            changed = limit is not None and limit_failures(database, int(target), limit)
            changed = control.resume(database, int(target)) or changed
            over = read_progress(database, int(target)).finished
        else:
            changed, over = control.resume_provider(database, settings, target) > 0, False
    told = "goes on" if changed else "was not paused"
    if over:
        told = _OVER
    _tell(as_json, f"{_named(target)} {told}", target=target, changed=changed)


def cancel(batch: int, *, as_json: bool) -> None:
    """Stop a batch."""
    with opened(load_settings()) as database, Counter("prompts cancelled") as counter:
        jobs = control.cancel(database, batch, report=counter.show)
        progress = read_progress(database, batch)
    _tell(as_json, f"batch {batch} {_cancelled(progress, jobs)}", batch=batch, cancelled=jobs)


def retry(batch: int | None, only: Only, *, held: bool, as_json: bool) -> None:
    """Put back what failed or is held and meets *only*."""
    with opened(load_settings()) as database:
        batch_id = batch_or_latest(database, batch)
        states = _states_to_retry(database, batch_id, only, held=held)
        with Counter("prompts put back") as counter:
            jobs = control.retry(database, batch_id, states=states, only=only, report=counter.show)
    told = (
        f"batch {batch_id}: {jobs:,} to be done again, by workers that run, or by `promptmill run`"
        " with the same input"
        if jobs
        else f"batch {batch_id}: {_nothing(only, held=held)}"
    )
    _tell(as_json, told, batch=batch_id, retried=jobs)


def priority(batch: int, number: int, *, as_json: bool) -> None:
    """Let a batch go before others, or after them."""
    with opened(load_settings()) as database:
        changed = control.set_priority(database, batch, number)
    told = f"has priority {number}" if changed else f"had priority {number} already"
    _tell(as_json, f"batch {batch} {told}", batch=batch, priority=number, changed=changed)


def _cancelled(progress: Progress, jobs: int) -> str:
    running = progress.overall.running
    if progress.state == ENDED:
        return _OVER
    if not jobs and not running:
        return "is cancelled, and nothing of it was left to do"
    told = f"is cancelled: {plural(jobs, 'prompt')} will not be answered"
    return f"{told}; what runs ({running:,}) ends, and is stored" if running else told


def _states_to_retry(
    database: Database, batch_id: int, only: Only, *, held: bool
) -> tuple[JobState, ...]:
    if held:
        return (JobState.QUARANTINED,)
    failed_only = bool(only.kind or only.code)  # what was cancelled has no error
    if not failed_only and _is_cancelled(database, batch_id):
        return (*_FAILED, JobState.CANCELLED)
    return _FAILED


def _nothing(only: Only, *, held: bool) -> str:
    what = "is held" if held else "failed or is held"
    asked = {"of kind": only.kind, "with code": only.code, "to model": only.model}
    which = "".join(f" {word} {value}" for word, value in asked.items() if value)
    return f"nothing{which} of it {what}" if not which else f"nothing{which} {what}"


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
