"""Answer a batch from here: bring a dispatcher and workers, follow the batch, let them go."""

import signal
from collections.abc import Iterable, Mapping
from threading import Event

import typer

from promptmill.producer.cli.output import note
from promptmill.producer.cli.signalled import handler_for
from promptmill.producer.cli.views import View
from promptmill.producer.cli.watch import follow
from promptmill.producer.embedded.crew import Crew
from promptmill.producer.limits.watch import watching
from promptmill.producer.watching.progress import Progress
from promptmill.schema.database import Database
from promptmill.schema.errors import ServiceError
from promptmill.schema.settings import Settings


class Interrupted(Exception):  # noqa: N818  not an error: the user said stop
    """Ctrl-C: spending has stopped, the queue stays."""


def answer_here(
    settings: Settings,
    database: Database,
    batch_id: int,
    providers: Iterable[str],
    *,
    view: View,
    env: Mapping[str, str] | None = None,
    processes: int = 1,
) -> Progress:
    """Work on a batch until it ends or nothing can move.

    A child that dies is started again, a few times. Raises Interrupted after a Ctrl-C, once open
    calls have ended; ServiceError when a child ends each time.
    """
    stop = Event()
    with Crew(settings, env=env) as crew, _ctrl_c(stop, crew):
        if (trouble := crew.redis.trouble()) is not None:
            note(f"{trouble}\n  prompts are asked as soon as it answers")
        crew.start_dispatcher()
        for provider in providers:
            for number in range(1, processes + 1):
                crew.start_worker(provider, number=number)
        with view, watching(settings, crew.redis.url) as limits:
            progress = follow(
                database,
                batch_id,
                view,
                stop,
                limits=limits,
                pools=settings.pools,
                check=lambda: _all_there(crew),
            )
        if stop.is_set():
            typer.echo("stopping: open calls end, nothing new is sent", err=True)
        crew.stop()
    if stop.is_set() and not progress.finished:
        raise Interrupted
    return progress


def _all_there(crew: Crew) -> None:
    if crew.revive_redis():
        note(
            "the bundled Redis was gone; it was started again, and the queue is made anew from SQL"
        )
    for child in crew.ended():
        how = f"{child.name} {_ending(child.returncode)}"
        if crew.start_again(child):
            note(f"{how}; it was started again, and what it had in hand is done again")
            continue
        msg = (
            f"{how}; the batch is kept, and the same command goes on with it."
            f" The end of its log:\n{child.last_words}"
        )
        raise ServiceError(msg)


def _ending(returncode: int | None) -> str:
    if returncode is None or returncode >= 0:
        return f"ended by itself, with exit code {returncode}"
    try:
        return f"was killed, by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed, by signal {-returncode}"


class _ctrl_c:  # noqa: N801  reads as a block
    """First Ctrl-C: stop warmly. Second: at once."""

    def __init__(self, stop: Event, crew: Crew) -> None:
        self._handle = handler_for(stop, again=lambda _number: crew.kill())

    def __enter__(self) -> None:
        self._before = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
