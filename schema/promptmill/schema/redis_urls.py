"""One Redis, two spellings: redis-py and kombu disagree about unix sockets and passwords."""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from promptmill.schema.errors import SettingsError
from promptmill.schema.secret import Secret

_SCHEMES = ("redis", "rediss", "unix", "redis+socket", "valkey", "valkeys")
_SECRET_OPTION = re.compile("(username|password)=", re.IGNORECASE)
"""redis-py takes them after the question mark too"""


def socket_url(path: Path) -> str:
    """Name the server behind the unix socket *path*, as redis-py spells it."""
    return f"unix://{quote(str(path))}"


def with_password(url: str, password: Secret | None) -> str:
    """Put *password* into *url* where that names none.

    Raises SettingsError for a URL that is no Redis URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        msg = (
            f"PROMPTMILL_REDIS_URL starts with {parts.scheme!r}; "
            "write redis://host:6379/0, rediss://… (TLS) or unix:///path/to/redis.sock"
        )
        raise SettingsError(msg)
    if password is None or parts.password:
        return url
    host = parts.netloc.rpartition("@")[2]
    user = quote(parts.username or "", safe="")
    netloc = f"{user}:{quote(password.reveal(), safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc))


def redis_py_url(url: str) -> str:
    """Spell *url* as redis-py reads it: `unix:///path`, `redis://`, `rediss://`."""
    scheme, separator, rest = url.partition("://")
    return {"redis+socket": "unix", "valkey": "redis", "valkeys": "rediss"}.get(scheme, scheme) + (
        separator + rest
    )


def kombu_url(url: str) -> str:
    """Spell *url* as kombu and Celery read it: a unix socket is `redis+socket:///path`.

    Kombu takes the database of a socket from `virtual_host`; Flower reads queue lengths over a
    socket from database 0 only, so the broker stays there.
    """
    scheme, separator, rest = redis_py_url(url).partition("://")
    return ("redis+socket" if scheme == "unix" else scheme) + separator + rest


def shown(url: str) -> str:
    """Name the server of *url* for people: without user and password, in either place."""
    parts = urlsplit(url)
    options = [option for option in parts.query.split("&") if not _SECRET_OPTION.match(option)]
    return urlunsplit(
        parts._replace(netloc=parts.netloc.rpartition("@")[2], query="&".join(options))
    )
