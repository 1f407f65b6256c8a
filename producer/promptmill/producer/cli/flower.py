"""`promptmill flower`: Celery's monitor, set up for prompts: readable rows, closed by default."""

import os
import secrets
import sys
from typing import Annotated

import typer

from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.schema.errors import SettingsError
from promptmill.schema.settings import PREFIX, load_settings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_COLUMNS = "name,args,state,retries,result,received,started,runtime,worker"
_BUCKETS = "0.5,1,2,5,10,20,30,60,120,300"
_MOST_TASKS = "20000"  # about 100 MB; SQL is the history


def flower(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5555,
) -> None:
    """Show workers and tasks in a browser."""
    settings = load_settings()
    env = dict(os.environ)  # noqa: TID251  handed on as it is
    if settings.flower_basic_auth is not None:
        env["FLOWER_BASIC_AUTH"] = settings.flower_basic_auth.reveal()
    elif host not in _LOOPBACK:
        msg = (
            f"Flower on {host} needs a password: set PROMPTMILL_FLOWER_BASIC_AUTH=user:password"
            " (or PROMPTMILL_FLOWER_BASIC_AUTH_FILE), or listen on 127.0.0.1"
        )
        raise SettingsError(msg)
    else:
        password = secrets.token_urlsafe(12)
        env["FLOWER_BASIC_AUTH"] = f"promptmill:{password}"
        typer.echo(f"http://{host}:{port}  user promptmill  password {password}", err=True)
    redis = ensure_redis(settings)
    for descriptor in redis.keep_fds:
        os.set_inheritable(descriptor, True)
    env[f"{PREFIX}REDIS_URL"] = redis.url
    command = [
        *(sys.executable, "-m", "celery", "-A", "promptmill.workers", "flower"),
        *(f"--address={host}", f"--port={port}", "--read_only=True"),
        *(f"--max-tasks={_MOST_TASKS}", f"--tasks-columns={_COLUMNS}"),
        *(f"--task-runtime-metric-buckets={_BUCKETS}", "--inspect-timeout=5000"),
    ]
    os.execve(command[0], command, env)  # noqa: S606  no shell
