"""`promptmill worker`: worker processes for one or more providers."""

import os
from collections.abc import Sequence

import typer

from promptmill.producer.cli.handover import become, told_to_stop
from promptmill.producer.embedded.children import Children
from promptmill.producer.embedded.crew import STOP_SPARE_S, worker_command
from promptmill.producer.embedded.several import Several
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.schema.errors import SettingsError
from promptmill.schema.logs import configure_logging
from promptmill.schema.pools import members_of
from promptmill.schema.settings import PREFIX, load_settings


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
        become(command(1), env)
    configure_logging(settings)
    with Children(None, keep_fds=redis.keep_fds) as children:
        several = Several(children, processes, command, env)
        code = several.run(told_to_stop(settings), grace_s=settings.worker.grace_s + STOP_SPARE_S)
    redis.close()
    raise typer.Exit(code)
