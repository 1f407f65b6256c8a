"""Servers that are broken, or mean harm: no answer for another request, no wait, no memory."""

import asyncio
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from promptmill.workers.providers.connection import (
    Connection,
    CutShortError,
    NotConnectedError,
    NotHTTPError,
)
from promptmill.workers.providers.connections import Connections, Origin
from tests.providers.dialects import Harness

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
MB = 1_000_000
LONG = REQUEST[:-2] + b"x" * 5 * MB + b"{}"


class Peer:
    """The other end of connections, which does only what it is told, at once."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.origin = Origin("http", "127.0.0.1", self.listening.getsockname()[1])
        self.connections: list[socket.socket] = []

    async def accept(self, *, most: int = MB) -> socket.socket:
        """Take the next connection, with a request read from it: *most* bytes of it, or all."""
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(self.listening)
        connection.setblocking(False)
        self.connections.append(connection)
        end = b""
        while most > 0 and not end.endswith(b"{}"):
            end = await loop.sock_recv(connection, min(most, 65_536))
            most -= len(end)
        return connection

    def close(self) -> None:
        for each in (self.listening, *self.connections):
            each.close()


@asynccontextmanager
async def meeting() -> AsyncIterator[tuple[Connections, Peer]]:
    """Let connections and a peer meet."""
    peer = Peer()
    mill = Connections(most_idle=2, tls=ssl.create_default_context())
    try:
        yield mill, peer
    finally:
        await mill.aclose()
        peer.close()


@pytest.mark.parametrize(
    "does",
    [
        lambda there: there.send(OK),  # the answer to nothing
        lambda there: there.shutdown(socket.SHUT_WR),
        lambda there: there.close(),
    ],
    ids=["sends", "ends", "closes"],
)
def test_what_came_since_the_last_answer_is_seen_before_the_loop_reads_it(
    harness: Harness,
    does: Callable[[socket.socket], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("promptmill.workers.providers.connection.READ_WITHIN_S", 0.0)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        there.setblocking(False)
        _, connection = await loop.create_connection(lambda: Connection(gone.append), sock=here)
        asking = asyncio.ensure_future(connection.ask(REQUEST))
        assert await loop.sock_recv(there, 4096) == REQUEST
        there.send(OK)
        assert (await asking).content == b"hi"
        connection.put_by()
        assert connection.is_fresh(3600.0)
        does(there)
        assert connection.is_open
        assert not connection.is_fresh(3600.0)
        connection.end()
        while not gone:  # noqa: ASYNC110  by this loop
            await asyncio.sleep(0)
        there.close()

    gone: list[Connection] = []
    harness.run(scene())


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Endless: ", b"x" * 10_000),
        (b"HTTP/1.1 200 OK\r\n", b"X-Many: 1\r\n" * 1_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"x" * 10_000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200),
    ],
    ids=["a header", "headers", "a trailer", "hints"],
)
def test_headers_that_never_end_are_no_answer(harness: Harness, start: bytes, more: bytes) -> None:
    async def scene() -> None:
        async with meeting() as (mill, peer):
            asking = asyncio.ensure_future(mill.ask(peer.origin, REQUEST))
            sending = await peer.accept()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sending, start)
            with suppress(ConnectionError):
                for _ in range(100):
                    await loop.sock_sendall(sending, more)
            with pytest.raises(NotHTTPError):
                await asyncio.wait_for(asking, 20)

    harness.run(scene())


def test_small_chunks_are_no_headers(harness: Harness) -> None:
    """Some servers say by them that they still work."""

    async def scene() -> bytes:
        async with meeting() as (mill, peer):
            asking = asyncio.ensure_future(mill.ask(peer.origin, REQUEST))
            sending, loop = await peer.accept(), asyncio.get_running_loop()
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            await loop.sock_sendall(sending, head + b"1\r\n \r\n" * 20_000 + b"0\r\n\r\n")
            return (await asking).content

    assert harness.run(scene()) == b" " * 20_000


def test_who_ends_an_answer_without_length_need_not_read_the_request(harness: Harness) -> None:
    """Nor is it waited for that it does."""

    async def scene() -> None:
        async with meeting() as (mill, peer), asyncio.timeout(20):
            for said, comes in ((b"HTTP/1.1 413 Too Large\r\n\r\nno", b"no"), (b"HTTP/1.1", None)):
                asking = asyncio.ensure_future(mill.ask(peer.origin, 4 * LONG))
                refusing = await peer.accept(most=10)
                refusing.send(said)
                refusing.shutdown(socket.SHUT_WR)
                if comes is None:
                    with pytest.raises(CutShortError):
                        await asking
                else:
                    assert (await asking).content == comes

    harness.run(scene())


@pytest.mark.parametrize(
    "head", [b"Content-Length : 3\r\n", b"Transfer-Encoding : chunked\r\n\r\n3\r\n"]
)
def test_what_has_a_length_never_lasts_until_the_end(harness: Harness, head: bytes) -> None:
    async def scene() -> None:
        async with meeting() as (mill, peer):
            asking = asyncio.ensure_future(mill.ask(peer.origin, REQUEST))
            sending = await peer.accept()
            sending.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + b"\r\nhi")
            sending.shutdown(socket.SHUT_WR)
            with pytest.raises((CutShortError, NotHTTPError)):
                await asking

    harness.run(scene())


def test_neither_requests_nor_answers_are_held_by_connections(harness: Harness) -> None:
    async def scene() -> tuple[int, int]:
        async with meeting() as (mill, peer):
            before = tracemalloc.get_traced_memory()[0]
            asking = asyncio.ensure_future(mill.ask(peer.origin, LONG + b"{}"))  # made here
            sending = await peer.accept(most=10 * MB)
            waiting = tracemalloc.get_traced_memory()[0] - before
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (5 * MB)
            await asyncio.get_running_loop().sock_sendall(sending, head)
            await asyncio.get_running_loop().sock_sendall(sending, bytes(5 * MB))
            assert len((await asking).content) == 5 * MB
            del asking
            await asyncio.sleep(0)  # what has woken us held the answer, too
            assert mill.count == 1
            return waiting, tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        waiting, idle = harness.run(scene())
    finally:
        tracemalloc.stop()
    assert waiting < MB
    assert idle < MB


def test_who_connects_while_all_is_closed_sends_nothing(harness: Harness) -> None:
    async def scene() -> None:
        async with meeting() as (mill, peer):
            asking = asyncio.ensure_future(mill.ask(peer.origin, REQUEST))
            await asyncio.sleep(0)
            await asyncio.gather(mill.aclose(), mill.aclose())
            with pytest.raises(NotConnectedError):
                await asking
            assert mill.count == 0

    harness.run(scene())


def test_who_asks_while_all_is_closed_is_cut_short(harness: Harness) -> None:
    async def scene() -> None:
        async with meeting() as (mill, peer):
            asking = asyncio.ensure_future(mill.ask(peer.origin, REQUEST))
            await peer.accept()
            await asyncio.gather(mill.aclose(), mill.aclose())
            with pytest.raises(CutShortError):
                await asking

    harness.run(scene())


def test_who_says_nothing_to_a_handshake_is_not_connected(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptmill.workers.providers.connections.CONNECT_TIMEOUT_S", 0.05)

    async def scene() -> None:
        async with meeting() as (mill, peer):
            with pytest.raises(NotConnectedError):
                await mill.ask(peer.origin._replace(scheme="https"), REQUEST)
            assert mill.count == 0

    harness.run(scene())
