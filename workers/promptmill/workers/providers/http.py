"""The one HTTP client of a process, and the rule of one request under one deadline.

Calls of ours go over connections of our own, what goes through a proxy and all else of the SDKs by
aiohttp: the SDKs' own default costs 4.5 to 11 ms of CPU a call at 1,000 in flight.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import aiohttp
import httpx2
from httpx_aiohttp.httpx2.transport import AiohttpTransport

from promptmill.schema.network import DIRECT, NetworkSettings
from promptmill.schema.secret import Secret
from promptmill.schema.trust import trust_in
from promptmill.workers.providers.connection import NotConnectedError
from promptmill.workers.providers.connections import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_S,
    Connections,
)
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.listener import Listener

T = TypeVar("T")
TIMEOUT = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
"""Only connecting has a limit of its own; all else is under the total deadline of `exchange`."""


_NOT_CONNECTED = (
    NotConnectedError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    httpx2.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True)
class Lost:
    """No complete HTTP response came."""

    sent: bool
    """Whether any of the request may have reached the provider."""
    why: str
    """The deadline or the error's name. Never the error's text: it may carry a key."""


def open_http(*, concurrency: int, network: NetworkSettings = DIRECT) -> LeanClient:
    """Make the shared client for *concurrency* calls in flight; who opens it closes it (`aclose`).

    Redirects are not followed: they would be a second request. Raises SettingsError where the
    certificate authorities that are to be trusted cannot be read.
    """
    limits = httpx2.Limits(
        max_connections=concurrency,
        max_keepalive_connections=concurrency,
        keepalive_expiry=KEEPALIVE_S,
    )
    trust = True if network.ca_bundle is None else trust_in(network.ca_bundle)
    direct = AiohttpTransport(verify=trust, limits=limits, trust_env=False)
    proxies = {"https": network.https_proxy, "http": network.http_proxy}
    return LeanClient(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        connections=Connections(most_idle=concurrency, tls=direct.ssl_context),
        follow_redirects=False,
        trust_env=False,  # what the environment says is in the settings
        transport=direct,
        mounts={
            f"{scheme}://": _through(proxy, direct) for scheme, proxy in proxies.items() if proxy
        },
        is_direct=lambda url: network.proxy_of(url) is None,
    )


def _through(proxy: Secret, direct: AiohttpTransport) -> AiohttpTransport:
    """Make the transport that goes as *direct* does, but through *proxy*."""

    def open_session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=direct.limits.max_connections or 0,
            keepalive_timeout=KEEPALIVE_S,
            ssl=direct.ssl_context,
        )
        return aiohttp.ClientSession(connector=connector, proxy=proxy.reveal())

    return AiohttpTransport(verify=direct.ssl_context, client=open_session)


async def exchange(
    sending: Awaitable[T],
    *,
    timeout_s: float,
    sdk_errors: tuple[type[Exception], ...],
    listener: Listener | None = None,
) -> T | Lost:
    """Await *sending*, at most *timeout_s* seconds in all, and turn transport errors into `Lost`.

    It ends too when *listener* leaves.

    The deadline is ours, since a time-out of the transport starts anew with each byte: an answer
    that drips outran 2 s by 10.
    """
    foreseen: tuple[type[Exception], ...] = (
        *sdk_errors,
        httpx2.HTTPError,
        aiohttp.ClientError,
        OSError,
    )
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            if listener is None:
                return await sending
            with listener.listening(partial(deadline.reschedule, 0.0)):
                return await sending
    except foreseen as error:
        if deadline.expired():
            if listener is not None and listener.has_left:
                return Lost(sent=True, why="nobody waited for it any more")
            return Lost(sent=True, why=f"no complete answer within {timeout_s:g} s")
        names = list(dict.fromkeys(type(cause).__name__ for cause in _chain(error)))
        return Lost(sent=not _never_connected(error), why=", ".join(reversed(names)))


def _never_connected(error: BaseException) -> bool:
    # httpx_aiohttp turns refused connections and cut ones into the same ConnectTimeout; aiohttp's
    # own error, further down the chain, tells them apart.
    return any(isinstance(cause, _NOT_CONNECTED) for cause in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
