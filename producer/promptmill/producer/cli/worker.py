"""`promptmill worker`: worker processes for one or more providers."""

import os
import signal
from collections.abc import Mapping, Sequence
from threading import Event
from typing import NoReturn

import typer

from promptmill.producer.embedded.children import Children
from promptmill.producer.embedded.crew import STOP_SPARE_S, worker_command
from promptmill.producer.embedded.several import Several
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.schema.errors import SettingsError
from promptmill.schema.logs import configure_logging
from promptmill.schema.parent import watch_parent
from promptmill.schema.pools import members_of
from promptmill.schema.settings import PREFIX, Settings, load_settings


def run_workers(providers: Sequence[str], *, concurrency: int | None, processes: int) -> None:
    """Answer the prompts of *providers*, or of all, until stopped."""
    settings = load_settings()
    names = sorted(members_of(providers, settings.pools)) or list(settings.providers)
    for name in names:
        if name not in settings.providers:
            known = ", ".join(settings.providers)
            msg = f"there is no provider {name!r}: the settings name {known}"
            raise SettingsError(msg)
    redis = ensure_redis(settings)
    env = {f"{PREFIX}REDIS_URL": redis.url}
    if concurrency is not None:
        env[f"{PREFIX}WORKER__CONCURRENCY"] = str(concurrency)

    def command(number: int) -> list[str]:
        part = f"-{number}" if processes > 1 else ""
        found = worker_command(names, name=f"{'-'.join(names)}-{os.getpid()}{part}")
        return found if concurrency is None else [*found, "-c", str(concurrency)]

    # Whoever uses the bundled server stays, to stop it as the last one out.
    if processes == 1 and not redis.is_bundled:
        _become(command(1), env)
    with Children(None, keep_fds=redis.keep_fds) as children:
        several = Several(children, processes, command, env)
        code = several.run(_told_to_stop(settings), grace_s=settings.worker.grace_s + STOP_SPARE_S)
    redis.close()
    raise typer.Exit(code)


def _become(command: list[str], env: Mapping[str, str]) -> NoReturn:
    """Go on as the worker, with no parent between it and who started us."""
    whole = {**os.environ, **env}  # noqa: TID251  handed on as it is
    os.execve(command[0], command, whole)  # noqa: S606  no shell


def _told_to_stop(settings: Settings) -> Event:
    """Say by an event that we are asked to stop, or that our own parent is gone.

    Asked a second time, end at once.
    """
    configure_logging(settings)
    stop = Event()

    def take(number: int, _frame: object) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)  # the children end with their block
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, take)
    if settings.parent_fd is not None:
        grace_s = settings.worker.grace_s + 2 * STOP_SPARE_S
        watch_parent(settings.parent_fd, stop.set, then_exit_after_s=grace_s)
    return stop
