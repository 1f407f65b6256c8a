"""`promptmill ls`: the batches there are."""

from typing import Any

from promptmill.producer.cli.output import moment, note, print_json, print_table
from promptmill.producer.opening import glanced
from promptmill.producer.watching.progress import Progress, read_progress
from promptmill.schema.reading import latest_batches
from promptmill.schema.settings import load_settings

_COLUMNS = ("batch", "name", "state", "total", "succeeded", "failed", "left", "created (UTC)")


def list_batches(number: int, *, live: bool, as_json: bool) -> None:
    """Print the latest *number* batches, the latest first; *live*: also live calls."""
    with glanced(load_settings()) as database:
        with database.read() as connection:
            batches = latest_batches(connection, most=number, with_live=live)
        listed = [_row(read_progress(database, batch.id)) for batch in batches]
    if as_json:
        for row in listed:
            print_json(row)
    elif listed:
        print_table(_COLUMNS, [_cells(row) for row in listed])
    else:
        note("no batch yet: `promptmill submit INPUT -m MODEL` makes one")


def _cells(row: dict[str, Any]) -> list[str]:
    """Choose what fits 80 columns: no seconds, and no cancelled, which the state tells."""
    numbers = [f"{row[name]:,}" for name in ("total", "succeeded", "failed", "left")]
    return [str(row["batch"]), row["name"], row["state"], *numbers, row["created"][:-3]]


def _row(progress: Progress) -> dict[str, Any]:
    batch, overall = progress.batch, progress.overall
    return {
        "batch": batch.id,
        "name": batch.name,
        "state": progress.state,
        "total": batch.total,
        "succeeded": overall.succeeded,
        "failed": overall.failed,
        "cancelled": overall.cancelled,
        "left": batch.total - overall.ended,
        "created": moment(batch.created_at),
    }
