"""Go on as another program, or beside it where a bundled server has to be stopped after it."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from threading import Event
from typing import NoReturn

import typer

from promptmill.producer.cli.signalled import stop_on
from promptmill.producer.embedded.children import Children
from promptmill.producer.embedded.crew import STOP_SPARE_S
from promptmill.producer.embedded.tether import tethered
from promptmill.producer.embedded.valkey import RedisPlace
from promptmill.schema.parent import watch_parent
from promptmill.schema.settings import Settings

_NAME = "program"
_LOOK_S = 0.1


def hand_over(
    settings: Settings, redis: RedisPlace, module: Sequence[str], env: Mapping[str, str]
) -> NoReturn:
    """Run *module* in our place, with *env* over our own environment, and end as it ends.

    Whoever uses the bundled server stays, to stop it as the last one out. *module*: its name and
    its arguments.
    """
    if not redis.is_bundled:
        become([sys.executable, "-m", *module], env)
    stop = told_to_stop(settings)
    grace_s = settings.worker.grace_s + STOP_SPARE_S
    code = run_beside(redis, tethered(module, grace_s=grace_s), env, stop, grace_s=grace_s)
    raise typer.Exit(code)


def become(command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Go on as *command*, with no parent between it and who started us."""
    whole = {**os.environ, **env}  # noqa: TID251  handed on as it is
    os.execve(command[0], list(command), whole)  # noqa: S606  no shell


def run_beside(
    redis: RedisPlace,
    command: Sequence[str],
    env: Mapping[str, str],
    stop: Event,
    *,
    grace_s: float,
) -> int:
    """Run *command* until it ends or *stop* is set, then leave *redis*; return its exit code.

    Told to stop, it has *grace_s* seconds: 0, or 1 where it had to be killed.
    """
    with redis, Children(None, keep_fds=redis.keep_fds) as children:
        children.start(_NAME, command, env)
        while not stop.wait(_LOOK_S):
            for child in children.ended():
                return child.returncode if child.returncode >= 0 else 128 - child.returncode
        return 1 if children.stop(grace_s) else 0


def told_to_stop(settings: Settings) -> Event:
    """Say by an event that we are asked to stop, or that our own parent is gone.

    Asked a second time, end at once.
    """

    def end(number: int) -> None:
        raise SystemExit(128 + number)  # the children end with their block

    stop = stop_on(signal.SIGTERM, signal.SIGINT, again=end)
    if settings.parent_fd is not None:
        grace_s = settings.worker.grace_s + 2 * STOP_SPARE_S
        watch_parent(settings.parent_fd, stop.set, then_exit_after_s=grace_s)
    return stop
