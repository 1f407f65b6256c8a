"""`promptmill flower`: Celery's monitor, set up for prompts: readable rows, closed by default."""

import secrets
import socket
from pathlib import Path

from promptmill.producer.cli.handover import hand_over
from promptmill.producer.cli.output import note
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.schema.errors import ServiceError, SettingsError
from promptmill.schema.settings import PREFIX, Settings, load_settings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONFIGURATION = Path(__file__).with_name("flower_config.py")


def serve_flower(host: str, port: int) -> None:
    """Run Flower, which listens on *host* and *port*; 0 takes a free one."""
    settings = load_settings()
    login = choose_login(settings, host)
    port = free_port(host, port)
    given = "" if settings.flower_basic_auth is None else "  (login: PROMPTMILL_FLOWER_BASIC_AUTH)"
    user, _, password = login.partition(":")
    note(f"http://{_in_url(host)}:{port}{given or f'  user {user}  password {password}'}")
    redis = ensure_redis(settings)
    if (trouble := redis.trouble()) is not None:
        note(f"{trouble}\n  until it answers, Flower shows no worker and no task")
    env = {f"{PREFIX}REDIS_URL": redis.url, "FLOWER_BASIC_AUTH": login}
    hand_over(settings, redis, flower_module(host, port), env)


def flower_module(host: str, port: int) -> list[str]:
    """Name Flower's module and its arguments. It reads its login from FLOWER_BASIC_AUTH."""
    celery = ["celery", "-A", "promptmill.workers"]
    return [*celery, "flower", f"--conf={_CONFIGURATION}", f"--address={host}", f"--port={port}"]


def choose_login(settings: Settings, host: str) -> str:
    """Take the login of the settings, `user:password`, or make one up on loopback.

    Raises SettingsError for one that Flower would read otherwise, or would leave open.
    """
    if settings.flower_basic_auth is not None:
        login = settings.flower_basic_auth.reveal()
        # Flower takes a comma for the end of one login, and fails on what is not ASCII.
        if all(all(one.partition(":")[::2]) for one in login.split(",")) and login.isascii():
            return login
        msg = (
            "PROMPTMILL_FLOWER_BASIC_AUTH is not user:password in plain ASCII"
            " (several logins are separated by commas, so a password holds none)"
        )
        raise SettingsError(msg)
    if host in _LOOPBACK:
        return f"promptmill:{secrets.token_urlsafe(12)}"
    msg = (
        f"Flower on {host or 'every address'} needs a password: set"
        " PROMPTMILL_FLOWER_BASIC_AUTH=user:password (or PROMPTMILL_FLOWER_BASIC_AUTH_FILE),"
        " or listen on 127.0.0.1"
    )
    raise SettingsError(msg)


def free_port(host: str, port: int) -> int:
    """Return *port*, or a free one for 0. Raises ServiceError where nobody can listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as there:
            return int(there.getsockname()[1])
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]
        msg = f"Flower cannot listen on {host}:{port}: {why}; choose another --port"
        raise ServiceError(msg) from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
