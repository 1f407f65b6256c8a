"""`promptmill watch`: follow a batch to its end."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

import typer

from promptmill.producer.cli.signalled import stop_on
from promptmill.producer.cli.views import View, choose_view
from promptmill.producer.limits.watch import LimitWatch, redis_in_use, watching
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.producer.watching.progress import Progress, read_progress
from promptmill.producer.watching.sight import Watcher
from promptmill.schema.database import Database
from promptmill.schema.pools import NO_POOLS, Pools
from promptmill.schema.settings import load_settings

EXIT_SOME_FAILED = 3
EXIT_BUDGET = 4
EXIT_PAUSED = 5
EXIT_INTERRUPTED = 130
_EVERY_S = 0.25


def watch_batch(batch: int | None, *, as_json: bool) -> None:
    """Show progress until the batch ends, and exit with the code that tells how."""
    stop = stop_on(signal.SIGINT)
    settings = load_settings()
    with opened(settings) as database:
        batch_id = batch_or_latest(database, batch)
        with (
            choose_view(as_json=as_json) as view,
            watching(settings, redis_in_use(settings)) as limits,
        ):
            progress = follow(database, batch_id, view, stop, limits=limits, pools=settings.pools)
    raise typer.Exit(EXIT_INTERRUPTED if stop.is_set() else exit_code(progress))


def follow(
    database: Database,
    batch_id: int,
    view: View,
    stop: Event,
    *,
    limits: LimitWatch,
    pools: Pools = NO_POOLS,
    check: Callable[[], None] = lambda: None,
) -> Progress:
    """Show progress until the batch ends, nothing can move, or *stop*; *check* runs each time."""
    watcher = Watcher()
    while True:
        progress = read_progress(database, batch_id, pools)
        monotonic, now = time.monotonic(), datetime.now(UTC)
        standings = limits.read(database, monotonic=monotonic)
        sight = watcher.look(progress, standings, monotonic=monotonic, now=now)
        over = progress.finished or progress.held or stop.is_set()
        view.show(sight, last=over)
        if over:
            return progress
        check()
        stop.wait(_EVERY_S)


def exit_code(progress: Progress) -> int:
    """Choose the exit code: 0 all answered, 3 some failed, 4 its budget is reached, 5 paused."""
    if progress.held:
        return EXIT_BUDGET if progress.budget_reached else EXIT_PAUSED
    overall = progress.overall
    return 0 if overall.succeeded == overall.total else EXIT_SOME_FAILED
