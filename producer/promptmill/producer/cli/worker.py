"""`promptmill worker`: a worker process for one or more providers."""

import os
from typing import Annotated

import typer

from promptmill.producer.embedded.crew import worker_command
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.schema.errors import SettingsError
from promptmill.schema.settings import PREFIX, load_settings


def worker(
    providers: Annotated[
        list[str] | None, typer.Argument(help="Providers to answer for; all if left out.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("-c", "--concurrency", help="Calls open at once.")
    ] = None,
) -> None:
    """Answer prompts until stopped; the first Ctrl-C lets open calls end."""
    settings = load_settings()
    names = providers or list(settings.providers)
    for name in names:
        if name not in settings.providers:
            known = ", ".join(settings.providers)
            msg = f"there is no provider {name!r}: the settings name {known}"
            raise SettingsError(msg)
    redis = ensure_redis(settings)
    for descriptor in redis.keep_fds:
        os.set_inheritable(descriptor, True)  # so that the worker counts as a user of the server
    command = worker_command(names, name=f"{'-'.join(names)}-{os.getpid()}")
    if concurrency is not None:
        command += ["-c", str(concurrency)]
    env = {**os.environ, f"{PREFIX}REDIS_URL": redis.url}  # noqa: TID251  handed on as it is
    if concurrency is not None:
        env[f"{PREFIX}WORKER__CONCURRENCY"] = str(concurrency)
    os.execve(command[0], command, env)  # noqa: S606  no shell
