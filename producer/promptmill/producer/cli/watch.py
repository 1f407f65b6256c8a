"""`promptmill watch`: follow a batch to its end."""

import signal
import time
from collections.abc import Callable
from threading import Event
from typing import Annotated

import typer

from promptmill.producer.cli.views import View, choose_view
from promptmill.producer.opening import opened
from promptmill.producer.progress import Progress, read_progress
from promptmill.producer.rates import Rates
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.reading import latest_batches
from promptmill.schema.settings import load_settings

EXIT_SOME_FAILED = 3
EXIT_PAUSED = 5
EXIT_INTERRUPTED = 130
_EVERY_S = 0.25


def watch(
    batch: Annotated[
        int | None, typer.Argument(metavar="BATCH", help="Batch id; the latest if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON event a line.")] = False,
) -> None:
    """Show the progress of a batch until it ends. Ctrl-C ends the watching only."""
    stop = Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with opened(load_settings()) as database:
        batch_id = batch if batch is not None else _latest(database)
        with choose_view(as_json=as_json) as view:
            progress = follow(database, batch_id, view, stop)
    raise typer.Exit(EXIT_INTERRUPTED if stop.is_set() else exit_code(progress))


def follow(
    database: Database,
    batch_id: int,
    view: View,
    stop: Event,
    *,
    check: Callable[[], None] = lambda: None,
) -> Progress:
    """Show progress until the batch ends, nothing can move, or *stop*; *check* runs each time."""
    rates = Rates()
    while True:
        progress = read_progress(database, batch_id)
        now = time.monotonic()
        for tally in (*progress.providers, progress.overall):
            rates.saw(tally.name, tally.ended, at=now)
        over = progress.finished or progress.held or stop.is_set()
        view.show(progress, rates, last=over)
        if over:
            return progress
        check()
        stop.wait(_EVERY_S)


def exit_code(progress: Progress) -> int:
    """Choose the exit code: 0 all answered, 3 some failed, 5 paused."""
    if progress.held:
        return EXIT_PAUSED
    overall = progress.overall
    return 0 if overall.succeeded == overall.total else EXIT_SOME_FAILED


def _latest(database: Database) -> int:
    with database.read() as connection:
        found = latest_batches(connection, most=1)
    if not found:
        msg = "there is no batch yet: `promptmill run INPUT -m MODEL` makes one"
        raise UsageError(msg)
    return found[0].id
