"""HTTP/1.1 as the simulator needs it: requests out of bytes, replies into bytes.

Its own and not a library's: the accidents need the raw transport, and a benchmark needs a stand-in
that costs little. An empty aiohttp handler takes more CPU (85 us a request, 64 in flight) than this
with parsing, answer and bill (60 to 70 us).
"""

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024 * 1024
Headers = list[tuple[str, str]]
_CHUNKED = "transfer-encoding: chunked"
_END = b"0\r\n\r\n"


class BadHttp(Exception):  # noqa: N818  a reply follows, with this status
    """A request that cannot be read. The connection ends after the reply."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Head(NamedTuple):
    """The request line and headers, names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    keep_alive: bool

    def header(self, name: bytes) -> str:
        """Return a header's value, or ""."""
        return self.headers.get(name, b"").decode("latin-1")


class Request(NamedTuple):
    """A whole request."""

    head: Head
    body: bytes


class Reply(NamedTuple):
    """An answer, ready to be put on the wire."""

    status: int
    body: bytes
    headers: Headers
    content_type: str = "application/json"
    events: tuple[bytes, ...] | None = None
    """of a stream, in place of `body`"""

    @property
    def chunks(self) -> list[bytes]:
        """What follows the head: the body, or a chunk for each event."""
        if self.events is None:
            return [self.body]
        return [*(b"%x\r\n%s\r\n" % (len(event), event) for event in self.events), _END]


class Parser:
    """Cuts a stream of bytes into requests. One for each connection."""

    __slots__ = ("_buffer", "_chunks", "_head", "_length")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Head | None = None
        self._length: int | None = None
        self._chunks = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what came."""
        self._buffer += data

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends its body."""
        head = self._head
        return (
            head is not None
            and not self._buffer
            and head.headers.get(b"expect", b"").lower() == b"100-continue"
        )

    def next(self) -> Request | None:
        """Return the next whole request, or None if more bytes are needed. Raises BadHttp."""
        if self._head is None and not self._read_head():
            return None
        head = self._head
        if head is None:
            return None
        body = self._read_chunks() if self._length is None else self._read_length(self._length)
        if body is None:
            return None
        self._head = None
        return Request(head, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadHttp(431, "the headers are too long")
            return False
        self._head = _parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._length = _body_length(self._head.headers)
        return True

    def _read_length(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        if len(self._buffer) == length:
            body = bytes(self._buffer)
            self._buffer.clear()
        else:
            body = bytes(self._buffer[:length])
            del self._buffer[:length]
        return body

    def _read_chunks(self) -> bytes | None:
        """Collect a chunked body; trailers are dropped."""
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                return None
            size = _chunk_size(bytes(self._buffer[:line_end]))
            if len(self._chunks) + size > MAX_BODY:
                raise BadHttp(413, "the body is too long")
            if size == 0:
                end = self._buffer.find(b"\r\n\r\n", line_end)
                if end < 0:
                    return None
                del self._buffer[: end + 4]
                body = bytes(self._chunks)
                self._chunks.clear()
                return body
            start = line_end + 2
            if len(self._buffer) < start + size + 2:
                return None
            self._chunks += self._buffer[start : start + size]
            del self._buffer[: start + size + 2]


def _parse_head(raw: bytes) -> Head:
    request_line, _, rest = raw.partition(b"\r\n")
    try:
        method, target, version = request_line.decode("latin-1").split(" ")
    except ValueError:
        raise BadHttp(400, "the request line is not HTTP") from None
    headers: dict[bytes, bytes] = {}
    if rest:
        for line in rest.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                raise BadHttp(400, "a header has no colon")
            headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    if "%" in path:
        path = unquote(path)
    connection = headers.get(b"connection", b"").lower()
    keep_alive = connection == b"keep-alive" if version == "HTTP/1.0" else connection != b"close"
    return Head(method, path, query, headers, keep_alive)


def _body_length(headers: dict[bytes, bytes]) -> int | None:
    """Return the length of the body, or None where it comes in chunks."""
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return None
    raw = headers.get(b"content-length", b"0")
    if not raw.isdigit():
        raise BadHttp(400, "content-length is no number")
    length = int(raw)
    if length > MAX_BODY:
        raise BadHttp(413, "the body is too long")
    return length


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BadHttp(400, "a chunk's size is no number") from None


def _phrases() -> dict[int, str]:
    return {status.value: status.phrase for status in HTTPStatus} | {529: "Overloaded"}


_STATUS_LINES = {status: f"HTTP/1.1 {status} {phrase}\r\n" for status, phrase in _phrases().items()}


def render_head(reply: Reply, *, keep_alive: bool) -> bytes:
    """Return status line and headers, with the content length of the whole body, if it has one."""
    line = _STATUS_LINES.get(reply.status) or f"HTTP/1.1 {reply.status} Unknown\r\n"
    size = f"content-length: {len(reply.body)}" if reply.events is None else _CHUNKED
    lines = [line, f"content-type: {reply.content_type}\r\n{size}\r\n"]
    lines.extend([f"{name}: {value}\r\n" for name, value in reply.headers])
    lines.append("\r\n" if keep_alive else "connection: close\r\n\r\n")
    return "".join(lines).encode("latin-1", "replace")
