"""Submit the batch of one time of a schedule: once, whoever died while trying."""

from collections.abc import Callable
from datetime import datetime

from promptmill.producer.scheduling.arguments import request_of
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Database
from promptmill.schema.errors import InputError, UsageError
from promptmill.schema.schedules import (
    Ended,
    Outcome,
    Overlap,
    Schedule,
    batch_of_tick,
    unfinished_batch,
)
from promptmill.schema.settings import Settings

_LONGEST_PROBLEM = 500


def fire(
    settings: Settings,
    database: Database,
    schedule: Schedule,
    at: datetime,
    *,
    beat: Callable[[], object] = lambda: None,
) -> Ended:
    """Find or make the batch of *at*; what cannot be submitted is an outcome, too.

    *beat* is called now and then, and may raise: what is stored is gone on with by the next one.
    Raises ServiceError where SQL fails.
    """
    with database.read() as connection:
        before = unfinished_batch(connection, schedule.id)
        made = batch_of_tick(connection, schedule.id, at)
    if made is not None:
        return Ended(Outcome.SUBMITTED, batch_id=made)
    if before is not None and schedule.overlap is Overlap.SKIP:
        return Ended(Outcome.SKIPPED, f"batch {before} has not ended")
    try:
        submitted = submit(
            database,
            request_of(schedule, at),
            settings,
            require=lambda _providers: beat(),
            report=lambda _done, _total: beat(),
        )
    except UsageError as error:
        return Ended(Outcome.FAILED, _told(error))
    except OSError as error:
        return Ended(Outcome.FAILED, f"its input cannot be read: {error.strerror or error}")
    return Ended(Outcome.SUBMITTED, batch_id=submitted.batch_id)


def _told(error: UsageError) -> str:
    """Say what is wrong, without the value of a line: it may be a prompt."""
    if isinstance(error, InputError):
        where = f"{error.file}, {error.unit} {error.line}" if error.line else error.file
        return f"{where}: {error.problem}"[:_LONGEST_PROBLEM]
    return str(error)[:_LONGEST_PROBLEM]
