"""Our own HTTP/1.1: every form an answer may have, and no answer ever for another request."""

import asyncio
import gc
import gzip
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from promptmill.workers.providers.address import Address, post
from promptmill.workers.providers.connection import (
    Connection,
    CutShortError,
    NotConnectedError,
    NotHTTPError,
    WireAnswer,
)
from promptmill.workers.providers.connections import Connections, Origin
from promptmill.workers.providers.http import open_http
from promptmill.workers.providers.reply import Reply
from tests.providers.dialects import Harness

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\nhi"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1;name=value\r\nh\r\n1\r\ni\r\n0\r\nX-Trailer: t\r\n\r\n"
)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers the requests of each connection by what it was told, piece by piece."""

    def __init__(self, *answers: bytes, closes: bool = False, piece: int = 1 << 20) -> None:
        self._answers, self._closes, self._piece = answers, closes, piece
        self.connections = 0
        self.requests: list[bytes] = []
        self._serving: list[asyncio.Task[Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if (task := asyncio.current_task()) is not None:
            self._serving.append(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            for answer in self._answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                for start in range(0, len(answer), self._piece):
                    writer.write(answer[start : start + self._piece])
                    await writer.drain()
                    await asyncio.sleep(0)
            if not self._closes:
                await reader.read()
        writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Connections, Origin]]:
        """Serve, and give who asks."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        mill = Connections(most_idle=2, tls=ssl.create_default_context())
        async with server:
            try:
                yield mill, Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
            finally:
                await mill.aclose()
                await asyncio.gather(*self._serving)


def asked(
    server: Server, times: int = 1, *, request: bytes = REQUEST
) -> Callable[[], Coroutine[Any, Any, list[WireAnswer]]]:
    async def ask() -> list[WireAnswer]:
        async with server.open() as (mill, origin):
            return [await mill.ask(origin, request) for _ in range(times)]

    return ask


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("answer", [OK, CHUNKED, EARLY + OK, EARLY + EARLY + CHUNKED])
def test_an_answer_is_read_in_whatever_form_and_pieces_it_comes(
    harness: Harness, answer: bytes, piece: int
) -> None:
    server = Server(answer, answer, answer, piece=piece)
    answers = harness.run(asked(server, 3)())
    assert [(each.status, each.content) for each in answers] == [(200, b"hi")] * 3
    assert server.connections == 1
    assert "x-trailer" not in answers[0].headers
    assert "link" not in answers[0].headers
    assert answers[0].headers.get("x-a") in (None, "1, 2")


@pytest.mark.parametrize("answer", [CLOSE, OLD])
def test_a_connection_that_its_server_ends_is_not_kept(harness: Harness, answer: bytes) -> None:
    server = Server(answer)
    answers = harness.run(asked(server, 2)())
    assert [each.content for each in answers] == [b"hi"] * 2
    assert server.connections == 2


def test_an_answer_without_a_length_lasts_until_its_connection_ends(harness: Harness) -> None:
    (answer,) = harness.run(asked(Server(b"HTTP/1.1 200 OK\r\n\r\nhello", closes=True))())
    assert answer.content == b"hello"
    (none,) = harness.run(asked(Server(b"HTTP/1.1 204 No Content\r\n\r\n"))())
    assert (none.status, none.content) == (204, b"")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", CutShortError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", CutShortError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", CutShortError),
        (CHUNKED[:-5], CutShortError),
        (EARLY, CutShortError),
        (b"SSH-2.0-OpenSSH_9.9\r\n", NotHTTPError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi", NotHTTPError),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NotHTTPError),
    ],
)
def test_what_is_no_whole_answer_is_none(
    harness: Harness, answer: bytes, problem: type[OSError]
) -> None:
    with pytest.raises(problem):
        harness.run(asked(Server(answer, closes=True))())


def test_what_nobody_asked_for_is_never_the_answer_of_the_next(harness: Harness) -> None:
    stray = OK.replace(b"hi", b"no")

    async def scene() -> tuple[int, bytes]:
        server = Server(OK + stray)
        async with server.open() as (mill, origin):
            assert (await mill.ask(origin, REQUEST)).content == b"hi"
            again = await mill.ask(origin, REQUEST)
            return server.connections, again.content

    assert harness.run(scene()) == (2, b"hi")


def test_an_answer_before_the_whole_request_was_read_is_one(harness: Harness) -> None:
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refused)
        await read.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        closed.set()

    async def scene() -> WireAnswer:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            mill = Connections(most_idle=1, tls=ssl.create_default_context())
            origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
            answer = await mill.ask(origin, b"POST / HTTP/1.1\r\n\r\n" + b"x" * 50_000_000)
            read.set()
            await mill.aclose()  # at once: the rest of the request is for nobody
            await closed.wait()
            return answer

    read, closed = asyncio.Event(), asyncio.Event()
    assert harness.run(scene()).status == 413


def test_who_is_cancelled_leaves_no_connection_and_no_answer_to_others(harness: Harness) -> None:
    async def scene() -> None:
        server = Server(b"", OK)
        async with server.open() as (mill, origin):
            asking = asyncio.ensure_future(mill.ask(origin, REQUEST))
            while not server.requests:  # noqa: ASYNC110  the server is of this loop
                await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            again = asyncio.ensure_future(mill.ask(origin, REQUEST))
            while len(server.requests) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            again.cancel()
            assert server.connections == 2

    harness.run(scene())


def test_nothing_was_sent_where_nothing_is_open(harness: Harness) -> None:
    async def scene() -> None:
        with pytest.raises(NotConnectedError):
            await Connection(lambda _: None).ask(REQUEST)
        mill = Connections(most_idle=1, tls=ssl.create_default_context())
        for scheme in ("http", "https"):
            with pytest.raises(NotConnectedError):
                await mill.ask(Origin(scheme, "127.0.0.1", 1), REQUEST)
        await mill.aclose()

    harness.run(scene())


def test_what_is_idle_for_long_is_ended(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptmill.workers.providers.connections.KEEPALIVE_S", 0.0)

    async def scene() -> int:
        server = Server(OK, OK)
        async with server.open() as (mill, origin):
            await mill.ask(origin, REQUEST)
            await mill.ask(origin, REQUEST)
            while mill.count:  # noqa: ASYNC110  by a timer of this loop
                await asyncio.sleep(0.001)
            return server.connections

    assert harness.run(scene()) == 2


def test_a_request_says_all_that_it_must_and_an_answer_is_unpacked(harness: Harness) -> None:
    packed = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    server = Server(head % len(packed) + packed)

    async def scene() -> Reply:
        async with server.open() as (_, origin), open_http(concurrency=1) as http:
            address = Address(f"http://127.0.0.1:{origin.port}/v1/x?a=1%2B2", {"X-Key": "k"})
            reply = await post(http, address, b"{}", {"X-Id": "7"}, None)
            assert isinstance(reply, Reply)
            with pytest.raises(ValueError, match="line break"):
                await post(http, address, b"{}", {"X-Id": "7\r\nX-Key: other"}, None)
            return reply

    assert harness.run(scene()).body == b'{"a": 1}'
    (request,) = server.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "POST /v1/x?a=1%2B2 HTTP/1.1"
    assert "X-Key: k" in lines
    assert "X-Id: 7" in lines
    assert sum(line.startswith("Host: 127.0.0.1:") for line in lines) == 1
    assert any(line.startswith("Accept-Encoding: ") and "gzip" in line for line in lines)
    assert lines[-3:] == ["Content-Length: 2", "", "{}"]


EVENTS = b"data: one\n\ndata: two\n\n"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n"
)


class Ears:
    """Hears what is an event stream, and may choke on it."""

    def __init__(self, choke: BaseException | None = None) -> None:
        self.heads: list[tuple[int, str | None]] = []
        self.heard = b""
        self._choke = choke

    def starts(self, status: int, headers: Mapping[str, str], /) -> bool:
        self.heads.append((status, headers.get("content-type")))
        return status == 200 and "content-type" in headers

    def feed(self, piece: bytes, /) -> None:
        if self._choke is not None:
            raise self._choke
        self.heard += piece


def heard(server: Server, ears: Ears, times: int = 1) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def ask() -> list[WireAnswer]:
        async with server.open() as (mill, origin):
            return [await mill.ask(origin, REQUEST, ears) for _ in range(times)]

    return ask


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("early", [b"", EARLY])
def test_what_is_heard_is_not_in_the_answer_and_its_connection_is_kept(
    harness: Harness, piece: int, early: bytes
) -> None:
    server, ears = Server(early + STREAM, early + STREAM, OK, piece=piece), Ears()
    answers = harness.run(heard(server, ears, 3)())
    assert ears.heard == EVENTS + EVENTS
    assert [answer.content for answer in answers] == [b"", b"", b"hi"]
    assert ears.heads == [(200, "text/event-stream")] * 2 + [(200, None)]
    assert server.connections == 1


def test_a_stream_without_a_length_is_heard_until_its_connection_ends(harness: Harness) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    ears = Ears()
    harness.run(heard(Server(head + EVENTS, closes=True), ears)())
    assert ears.heard == EVENTS


def test_of_a_stream_that_is_cut_is_known_what_came(harness: Harness) -> None:
    ears = Ears()
    with pytest.raises(CutShortError):
        harness.run(heard(Server(STREAM[:-20], closes=True), ears)())
    assert ears.heard.startswith(b"data: one")


class OddError(BaseException):
    """No Exception: nobody may take it for a word of the server."""


@pytest.mark.parametrize("choke", [LookupError("odd"), OddError("odd"), StopIteration("odd")])
def test_who_chokes_on_a_piece_ends_the_call_as_if_it_had_raised(
    harness: Harness, choke: BaseException
) -> None:
    expected = RuntimeError if isinstance(choke, StopIteration) else type(choke)
    with pytest.raises(expected) as caught:
        harness.run(heard(Server(STREAM), Ears(choke=choke))())
    assert choke in (caught.value, caught.value.__cause__)


def test_a_call_that_was_cut_leaves_nothing_to_collect(harness: Harness) -> None:
    async def ask() -> weakref.ref[Ears]:
        ears, server = Ears(), Server(STREAM[:-20], closes=True)
        async with server.open() as (mill, origin):
            with suppress(CutShortError):
                await mill.ask(origin, REQUEST, ears)
        return weakref.ref(ears)

    gc.disable()
    try:
        assert harness.run(ask())() is None
    finally:
        gc.enable()
