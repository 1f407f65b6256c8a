"""Redis over a bare socket, for a command that asks a few things and ends.

To import redis-py takes a tenth of a second, a third of what such a command takes. The protocol is
https://valkey.io/topics/protocol, version 2.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

Command = Sequence[str | bytes | int | float]
_PORT = 6379


class RefusedError(ConnectionError):
    """What a server said in the place of an answer."""


class BareRedis:
    """One connection, made when it is first needed, and again after an error. For one thread."""

    errors: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """what `ask` raises"""

    def __init__(
        self, connect: Callable[[], socket.socket], greeting: Sequence[Command] = ()
    ) -> None:
        self.greeting = greeting
        """what is said first"""
        self._connect = connect
        self._socket: socket.socket | None = None
        self._stream: Any = None

    @classmethod
    def at(cls, url: str, *, timeout_s: float) -> "BareRedis | None":
        """Prepare to ask the server at *url*, as redis-py spells it; None: only that knows how.

        *timeout_s*: how long it may say nothing.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("unix", "redis") or parts.query or parts.fragment:
            return None
        path, number, greeting = unquote(parts.path), "", []
        if parts.scheme == "redis":
            path, number = "", path.removeprefix("/")
        if (parts.username and not parts.password) or not (number or "0").isdecimal():
            return None
        if parts.password:
            told = (parts.username, parts.password) if parts.username else (parts.password,)
            greeting.append(("AUTH", *map(unquote, told)))
        if number not in ("", "0"):
            greeting.append(("SELECT", number))
        if parts.scheme == "unix":
            return cls(partial(_open_path, path, timeout_s), greeting)
        try:
            address = unquote(parts.hostname or "localhost"), parts.port or _PORT
        except ValueError:
            return None
        return cls(partial(socket.create_connection, address, timeout_s), greeting)

    def ask(self, *commands: Command) -> list[Any]:
        """Send *commands* at once, and read what each comes to: bytes, an int, a list or None."""
        with self._closed_on_error():
            if self._stream is None:
                self._socket = self._connect()
                self._stream = self._socket.makefile("rb")
                self._exchange(self.greeting)
            return self._exchange(commands)

    def close(self) -> None:
        """Close the connection, if there is one."""
        for one in (self._stream, self._socket):
            if one is not None:
                one.close()
        self._stream = self._socket = None

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Close after an error: what comes then is an answer to nobody knows what."""
        try:
            yield
        except ValueError:
            self.close()
            msg = "this is no Redis"
            raise ConnectionError(msg) from None
        except BaseException:
            self.close()
            raise

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        assert self._socket is not None  # noqa: S101  made by `ask`
        self._socket.sendall(b"".join(map(_written, commands)))
        return [self._read() for _ in commands]

    def _read(self) -> Any:
        line = self._stream.readline()
        kind, told = line[:1], line[1:-2]
        if line.endswith(b"\r\n"):
            match kind:
                case b"+":
                    return told
                case b":":
                    return int(told)
                case b"$":
                    return self._read_bytes(int(told))
                case b"*":
                    return [self._read() for _ in range(int(told))]
                case b"-":
                    raise RefusedError(told.decode(errors="replace"))
        msg = "the connection was closed" if not line else "this is no Redis"
        raise ConnectionError(msg)

    def _read_bytes(self, size: int) -> bytes | None:
        if size < 0:
            return None
        found: bytes = self._stream.read(size + 2)
        if len(found) < size + 2:
            msg = "the connection was closed"
            raise ConnectionError(msg)
        return found[:-2]


def _open_path(path: str, timeout_s: float) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.settimeout(timeout_s)
        opened.connect(path)
    except BaseException:
        opened.close()
        raise
    return opened


def _written(command: Command) -> bytes:
    parts = [one if isinstance(one, bytes) else str(one).encode() for one in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in parts)
