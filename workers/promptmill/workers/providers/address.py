"""Where a request goes, and with which headers: asked of an SDK once, since each call has the same.

The SDKs of OpenAI and Anthropic build options, headers and address anew for each call, by code that
serves every endpoint: as much CPU as all the rest of a request. They are of one make, so what they
would send is asked of both in one way. Tests hold it to what their public calls send.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from promptmill.workers.providers.connection import WireAnswer
from promptmill.workers.providers.connections import Origin, origin_of
from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.streaming import Stream

_OF_EACH: Final = frozenset({"host", "content-length", "accept-encoding"})
"""headers that the transport adds to each request by itself"""

_AS_IT_IS: Final = ("Accept-Encoding", "identity")
"""of a stream: what is compressed comes late"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests of one kind go."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    """with the key: never log them"""
    origin: Origin | None = field(init=False)
    """None: not by HTTP alone"""
    _start: bytes = field(init=False, repr=False)
    """the head of each request, as far as all have the same"""

    def __post_init__(self) -> None:
        url = httpx2.URL(self.url)
        # Servers know themselves without the dot of a name that is told in full.
        host = url.netloc.replace(url.raw_host, url.raw_host.rstrip(b"."), 1)
        start = (b"POST ", url.raw_path, b" HTTP/1.1\r\nHost: ", host, b"\r\n")
        object.__setattr__(self, "origin", origin_of(url))
        object.__setattr__(self, "_start", b"".join(start) + _lines(self.headers.items()))

    def request(self, accepted: tuple[str, str], headers: Mapping[str, str], body: bytes) -> bytes:
        """Write a request with *headers* of its own, to be answered in an *accepted* encoding."""
        if not self.headers.keys().isdisjoint(headers):
            return Address(self.url, {**self.headers, **headers}).request(accepted, {}, body)
        own = _lines((accepted, *headers.items()))
        return b"".join((self._start, own, b"Content-Length: %d\r\n\r\n" % len(body), body))


def address_by(sdk: Any, options: Any) -> Address:
    """Let *sdk* say where and with which headers it would send a request with *options*."""
    request: httpx2.Request = sdk._build_request(options)  # noqa: SLF001
    given = {name: value for name, value in request.headers.multi_items() if name not in _OF_EACH}
    return Address(str(request.url), given)


async def post(
    http: LeanClient,
    address: Address,
    body: bytes,
    headers: Mapping[str, str],
    stream: Stream | None,
) -> Reply | Lost:
    """Send *body* with the headers of its address and its own *headers*; redirects are answers.

    An answer that may come in pieces is read by *stream*.
    """
    connections = http.direct(address.url)
    if connections is not None and address.origin is not None:
        # The request has no name here: it would be held until it is answered.
        if stream is None:
            answer = await connections.ask(
                address.origin, address.request(http.accepted, headers, body)
            )
            return _reply(answer)
        heard = _Unpacked(stream)
        answer = await connections.ask(
            address.origin, address.request(_AS_IT_IS, headers, body), heard
        )
        return heard.end() if heard.has_begun else _reply(answer)
    given = {**address.headers, **headers}
    sent = http.build_request("POST", address.url, headers=given, content=body)
    if stream is not None:
        return await stream.read(await http.send(sent, stream=True))
    response = await http.send(sent)
    return Reply(response.status_code, response.headers, response.content)


class _Unpacked:
    """Hears a stream, also one that is compressed, though it is asked for as it is."""

    def __init__(self, stream: Stream) -> None:
        self.has_begun = False
        self._stream = stream
        self._unpacking: Any = None

    def starts(self, status: int, headers: Mapping[str, str], /) -> bool:
        self.has_begun = self._stream.starts(status, headers)
        if self.has_begun and "content-encoding" in headers:  # it may say nothing: `none`
            packed = httpx2.Response(status, headers=headers)
            self._unpacking = packed._get_content_decoder()  # noqa: SLF001
        return self.has_begun

    def feed(self, piece: bytes, /) -> None:
        if self._unpacking is None:
            self._stream.feed(piece)
        else:
            self._feed_all(self._unpacking.decode(piece))

    def end(self) -> Reply | Lost:
        """Say what came, at the end of the stream. Raises httpx2.DecodingError."""
        if self._unpacking is not None:
            self._feed_all(self._unpacking.flush())
        return self._stream.end()

    def _feed_all(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._stream.feed(piece)


def _reply(answer: WireAnswer) -> Reply:
    """Return the answer as it was before it was compressed. Raises httpx2.DecodingError."""
    body = answer.content
    if "content-encoding" in answer.headers:
        body = httpx2.Response(answer.status, headers=answer.headers, content=body).content
    return Reply(answer.status, answer.headers, body)


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Write *headers* as lines. Raises ValueError where one has a line break in it."""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    text = "".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines) or "\0" in text:
        problem = "a header has a line break in it"
        raise ValueError(problem)
    return text.encode()
