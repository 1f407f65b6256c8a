"""Send one request to a stranger: within a time, to no private address, and no further.

The address that is checked is the one that is connected to, since a name may mean another one a
moment later. Through a proxy it is the proxy that looks names up, and says who may be reached.
"""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from threading import Thread
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from promptmill.producer.webhooks.verdict import Answer
from promptmill.schema.addresses import is_public
from promptmill.schema.errors import SettingsError
from promptmill.schema.network import NetworkSettings
from promptmill.schema.trust import trust_in

_USABLE = socket.AI_ADDRCONFIG
"""no addresses of a family that this machine has none of"""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class PrivateAddressError(OSError):
    """A name leads to this machine or into a private network."""


@dataclass(frozen=True, slots=True)
class Post:
    """How requests leave this machine."""

    network: NetworkSettings
    allow_private: bool
    timeout_s: float
    """for all of it: names, connecting, TLS, sending and the head of the answer"""

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send *body* once. The body of the answer is not read, and no redirect is followed."""
        told = {
            "content-type": "application/json",
            "user-agent": f"promptmill/{version('promptmill')}",
            **headers,
        }
        try:
            return Answer(asyncio.run(self._send(url, body, told)))
        except SettingsError as error:  # of the certificate authorities
            return Answer(None, str(error))
        except TimeoutError:
            return Answer(None, f"no answer within {self.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if _is_private(error):
                return Answer(None, "a private address, which is not called")
            return Answer(None, f"no answer: {type(error).__name__}")

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        proxy = self.network.proxy_of(url)
        guarded = not self.allow_private and proxy is None
        trust = self.network.ca_bundle
        connector = aiohttp.TCPConnector(
            ssl=True if trust is None else trust_in(trust),
            socket_factory=_public_socket if guarded else None,
            force_close=True,
            resolver=_Names(),
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
                trust_env=False,  # what the environment says is in the settings
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=proxy.reveal() if proxy else None,
            ) as response,
        ):
            return response.status


class _Names(AbstractResolver):
    """Looks names up in daemon threads, which are left behind when the time is up.

    asyncio's own are waited for at the end of its loop and of the process, however long.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Ask for the addresses of *host*. Raises socket.gaierror."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def settle(infos: list[Any], error: Exception | None) -> None:
            if found.cancelled():
                return
            if error is None:
                found.set_result(infos)
            else:
                found.set_exception(error)

        def look() -> None:
            infos: list[Any] = []
            error: Exception | None = None
            try:
                infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=_USABLE)
            except Exception as refused:  # noqa: BLE001  it is raised where it is waited for
                error = refused
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(settle, infos, error)

        Thread(target=look, name="webhook name", daemon=True).start()
        return [
            ResolveResult(
                hostname=host,
                host=where[0],
                port=where[1],
                family=kin,
                proto=protocol,
                flags=_NUMERIC,
            )
            for kin, _, protocol, _, where in await found
        ]

    async def close(self) -> None:
        """Hold nothing."""


def _public_socket(address: Any) -> socket.socket:
    """Make the socket that is to be connected to *address*, as getaddrinfo returned it."""
    family, kind, protocol, _, where = address
    if not is_public(where[0]):
        raise PrivateAddressError
    return socket.socket(family, kind, protocol)


def _is_private(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PrivateAddressError):
            return True
        cause = cause.__cause__
    return False
