"""The open connections of a client: made where none is free, kept for the next request.

How many there are is for those to bound who ask: each request has one of its own.
"""

import asyncio
import socket
import ssl
from collections import defaultdict, deque
from typing import Final, NamedTuple

import aiohappyeyeballs
import httpx2

from promptmill.workers.providers.connection import (
    Connection,
    Hearer,
    NotConnectedError,
    WireAnswer,
)
from promptmill.workers.providers.names import Names

CONNECT_TIMEOUT_S: Final = 10.0
# Below uvicorn's 5 s (vLLM and other small servers): a connection that its server closes while we
# write to it is an unknown outcome. A busy worker reuses connections far sooner than that.
KEEPALIVE_S: Final = 4.0
_OTHER_FAMILY_AFTER_S: Final = 0.25  # as RFC 8305 recommends
# An answer may take minutes in which nothing is sent: what stands between forgets a connection
# that is silent (AWS after 350 s).
_PROBES: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}


class Origin(NamedTuple):
    """Where connections go."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx2.URL) -> Origin | None:
    """Tell to where one connects for *url*; None where it cannot be reached by HTTP alone."""
    default = {"http": 80, "https": 443}.get(url.scheme)
    if default is None or not url.raw_host or url.userinfo:
        return None
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or default)


class Connections:
    """Connections by origin. For one event loop; who opens them ends them (`aclose`)."""

    def __init__(self, *, most_idle: int, tls: ssl.SSLContext) -> None:
        self._most_idle, self._tls = most_idle, tls
        self._open: set[Connection] = set()
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._all_left: asyncio.Future[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._names = Names()
        self._is_closed = False

    @property
    def count(self) -> int:
        """How many are open now."""
        return len(self._open)

    async def ask(self, origin: Origin, request: bytes, hearer: Hearer | None = None) -> WireAnswer:
        """Send *request* once, and read the answer to its end. *hearer* hears it as it comes.

        Raises NotConnectedError if it cannot have been sent, and OSError if no complete answer
        came.
        """
        connection = self._take(origin) or await self._connect(origin)
        asking = connection.ask(request, hearer)
        del request  # which is not held until it is answered
        answer = await asking
        if connection.may_be_kept and not self._is_closed:
            self._keep(origin, connection)
        else:
            connection.end()
        return answer

    async def aclose(self) -> None:
        """End all connections, also those that are made or asked just now, for good."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.end()
        if self._open:
            if self._all_left is None:
                self._all_left = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._all_left)

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()  # the last: so those that are not needed grow old
            if connection.is_fresh(KEEPALIVE_S):
                return connection
            connection.end()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        idle = self._idle[origin]
        connection.put_by()
        idle.append(connection)
        if len(idle) > self._most_idle:
            idle.popleft().end()
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEEPALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """End what has not been needed for long."""
        self._sweeping = None
        for idle in self._idle.values():
            while idle and not idle[0].is_fresh(KEEPALIVE_S):
                idle.popleft().end()
        if any(self._idle.values()):
            self._sweeping = asyncio.get_running_loop().call_later(KEEPALIVE_S, self._sweep)

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                made = await aiohappyeyeballs.start_connection(
                    await self._names.addresses(origin.host, origin.port),
                    happy_eyeballs_delay=_OTHER_FAMILY_AFTER_S,
                    interleave=1,
                    loop=loop,
                )
                is_secure = origin.scheme == "https"
                try:
                    _let_probe(made)
                    _, connection = await loop.create_connection(
                        lambda: Connection(self._forget),
                        sock=made,
                        ssl=self._tls if is_secure else None,
                        # No certificate has the dot of a name that is told in full.
                        server_hostname=origin.host.rstrip(".") if is_secure else None,
                    )
                except BaseException:
                    made.close()
                    raise
        except (OSError, ValueError, RuntimeError) as error:
            # A time-out and what TLS refuses are OSErrors. A host that cannot be one is a
            # ValueError, and uvloop says by a RuntimeError that some sockets do not connect.
            problem = f"no connection to {origin.host}:{origin.port}"
            raise NotConnectedError(problem) from error
        if self._is_closed:
            connection.end()
        elif connection.is_open:
            self._open.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._all_left is not None and not self._open and not self._all_left.done():
            self._all_left.set_result(None)


def _let_probe(made: socket.socket) -> None:
    """Let the system ask now and then whether the other side is still there."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if (option := getattr(socket, name, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
