"""Hosts have names, addresses that are taken in turn, and now and then neither."""

import asyncio
import socket
import ssl
from typing import Any

import pytest
import trustme

from promptmill.workers.providers.address import Address
from promptmill.workers.providers.connection import NotConnectedError
from promptmill.workers.providers.connections import Connections, Origin
from promptmill.workers.providers.names import in_turn
from tests.providers.dialects import Harness

V4, V6 = socket.AF_INET, socket.AF_INET6


def test_each_who_connects_begins_with_another_address_of_the_first_family() -> None:
    found = [(V6, "a"), (V4, "b"), (V6, "c"), (V4, "d"), (V4, "e")]
    orders = [in_turn(found, turn) for turn in range(3)]
    assert [order[0] for order in orders] == [(V6, "a"), (V6, "c"), (V6, "a")]
    assert [order[2] for order in orders] == [(V4, "b"), (V4, "d"), (V4, "e")]
    assert all(sorted(order) == sorted(found) for order in orders)


@pytest.mark.parametrize("host", ["a..b", ".b", "a" * 64])
def test_nothing_is_sent_to_what_is_no_host(harness: Harness, host: str) -> None:
    async def scene() -> None:
        mill = Connections(most_idle=1, tls=ssl.create_default_context())
        for scheme in ("http", "https"):
            with pytest.raises(NotConnectedError):
                await mill.ask(Origin(scheme, host, 1), b"")
        await mill.aclose()

    harness.run(scene())


def test_the_dot_of_a_name_told_in_full_is_for_its_look_up_alone(harness: Harness) -> None:
    authority = trustme.CA()
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("provider.test").configure_cert(of_server)
    of_client = ssl.create_default_context()
    authority.configure_trust(of_client)
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"{}")
        asked.append(request.decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async def scene() -> bytes:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=of_server) as server:
            where = server.sockets[0].getsockname()

            async def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
                asked.append(host)
                return [(V4, socket.SOCK_STREAM, 0, "", where)]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(loop, "getaddrinfo", look_up)
                mill = Connections(most_idle=1, tls=of_client)
                address = Address("https://provider.test./v1", {})
                assert address.origin is not None
                request = address.request(("Accept-Encoding", "gzip"), {}, b"{}")
                content = (await mill.ask(address.origin, request)).content
            await mill.aclose()
            return content

    assert harness.run(scene()) == b"hi"
    assert asked[0] == "provider.test."
    assert "\r\nHost: provider.test\r\n" in asked[-1]
