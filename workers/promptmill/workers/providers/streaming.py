"""One answer that comes in pieces: read as it comes, and given on as if it had come whole.

Whether it came whole is told by its finish reason and by nothing else: a connection may well be
closed in good order in the middle of an answer.
"""

from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any, Final

import httpx2

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import is_streamed
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.errors import keep
from promptmill.workers.providers.fold import Streaming, encode_body
from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.listener import Listener, Piece
from promptmill.workers.providers.operation import Operation
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.sse import Events

_UNFINISHED: Final = "the stream ended without a finish reason"
_AS_IT_IS: Final = frozenset({ErrorKind.REQUEST, ErrorKind.BAD_RESPONSE})
"""What stays as it is where tokens came before it: the next try would come to no more."""
_OF_ANOTHER_SHAPE: Final = (ValueError, TypeError, AttributeError, LookupError)
"""What Python raises for an event that is not as its dialect has it."""


def stream_of(
    operation: Operation, call: Call, body: Mapping[str, Any], *, secrets: Iterable[str]
) -> "Stream | None":
    """Open a stream for the answer to *body*; None where it comes whole."""
    how = operation.streaming
    if how is None:
        return None
    if call.listener is None and not (is_streamed(call.body) or how.is_needed(body)):
        return None
    return Stream(operation, how, secrets=secrets, listener=call.listener)


class Stream:
    """What has come of one answer. For one thread. Time counts from here."""

    def __init__(
        self,
        operation: Operation,
        how: Streaming,
        *,
        secrets: Iterable[str],
        listener: Listener | None = None,
    ) -> None:
        self.path, self.ask = how.path, how.ask
        self._listener, self._speech = listener, how.speech()
        self._unsaid: list[Piece] = []
        self._operation, self._secrets = operation, tuple(secrets)
        self._events, self._fold = Events(), how.fold()
        self._headers: Mapping[str, str] | None = None
        self._unreadable: bytes | None = None
        self._began = monotonic()
        self._first_token_s: float | None = None

    async def read(self, response: httpx2.Response) -> Reply | Lost:
        """Read *response* to its end. It may be no stream: an error, or a server that has none."""
        try:
            if not self.starts(response.status_code, response.headers):
                body = await response.aread()
                return Reply(response.status_code, response.headers, body)
            async for piece in _pieces(response):
                self.feed(piece)
        finally:
            await response.aclose()
        return self.end()

    def starts(self, status: int, headers: Mapping[str, str]) -> bool:
        """Tell whether events follow a head like this."""
        if status >= 300 or "event-stream" not in headers.get("content-type", ""):
            return False
        self._headers = headers
        return True

    def feed(self, piece: bytes) -> None:
        """Take what came next."""
        self._take(self._events.feed(piece))
        if self._first_token_s is None and self._fold.has_begun:
            self._first_token_s = monotonic() - self._began

    def end(self) -> Reply | Lost:
        """Say what came, at the end of the stream."""
        return self.whole(Lost(sent=True, why=_UNFINISHED))

    def whole(self, reply: Reply | Lost) -> Reply | Lost:
        """Return the answer where it had come before the connection was lost, else *reply*."""
        if isinstance(reply, Reply) or self._headers is None:
            return reply
        self._take_last()
        if self._fold.error is not None:
            return replace(self._fold.error, headers=self._headers)
        if self._unreadable is not None:
            return Reply(200, self._headers, self._unreadable)
        if self._fold.is_complete:
            return Reply(200, self._headers, encode_body(self._fold.body()))
        return reply

    def told(self, value: Answer | Refusal) -> Answer | Refusal:
        """Add to *value* what only the stream tells.

        What breaks off after its first token may have been charged, whatever the reason is.
        """
        if isinstance(value, Answer) or self._fold.is_complete:
            return replace(value, first_token_s=self._first_token_s)
        kind = value.kind
        if self._fold.has_begun and kind not in _AS_IT_IS:
            kind = ErrorKind.UNKNOWN
        came = self._fold.body()
        if not came or not (self._fold.has_begun or kind is ErrorKind.UNKNOWN):
            return value
        body = encode_body(came)
        told = self._operation.usage(Reply(200, {}, body)) if kind is ErrorKind.UNKNOWN else None
        return replace(
            value,
            kind=kind,
            usage=told,
            raw=keep(body, secrets=self._secrets),
            first_token_s=self._first_token_s,
        )

    def _take(self, events: list[bytes]) -> None:
        for data in events:
            if self._fold.error is not None or self._unreadable is not None:
                return
            if not self._is_taken(data):
                self._unreadable = data
            elif self._listener is not None and self._fold.error is None:
                self._say(data, self._listener)

    def _say(self, data: bytes, listener: Listener) -> None:
        """Say an event that was taken; of one that cannot be said nothing is heard.

        Nothing is heard before the first token either: until then the call can be made again.
        """
        with suppress(*_OF_ANOTHER_SHAPE):
            self._unsaid += self._speech.say(data)
        if self._fold.has_begun:
            for piece in self._unsaid:
                listener.hear(piece)
            self._unsaid.clear()

    def _take_last(self) -> None:
        """Take what lacks its end, or is bare JSON between the events; it may be cut anywhere."""
        if self._unreadable is None and self._fold.error is None:
            for data in (*self._events.finish(), b"\n".join(self._events.stray)):
                self._is_taken(data)

    def _is_taken(self, data: bytes) -> bool:
        try:
            self._fold.add(data)
        except _OF_ANOTHER_SHAPE:
            return False
        return True


def _pieces(response: httpx2.Response) -> AsyncIterable[bytes]:
    """Read as it comes; past httpx2, which hands each piece through three generators."""
    if "content-encoding" in response.headers or not isinstance(
        response.stream, httpx2.AsyncByteStream
    ):
        return response.aiter_bytes()
    return response.stream
