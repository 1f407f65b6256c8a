"""One HTTP/1.1 connection: a request goes out as bytes, its answer is read whole or heard.

llhttp takes the answer apart, as in Node.js and in aiohttp. What aiohttp's client does beside it
serves every kind of request, and is four fifths of what a call of ours cost over it.
"""

import asyncio
import select
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Protocol, cast

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

READ_WITHIN_S = 0.02
"""seconds in which the loop has mostly come round, and read what a connection brought"""
_MOST_BARE = 65_536
"""bytes that may come one after another with nothing of a body among them: headers, or trailers"""


class NotConnectedError(OSError):
    """No connection was made. Nothing was sent."""


class CutShortError(OSError):
    """The connection ended before the answer did."""


class NotHTTPError(OSError):
    """What came is no answer by HTTP/1.1."""


class WireAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer that was read to its end, as it came: it may be compressed."""

    status: int
    headers: Mapping[str, str]
    """by lower-case names; a name that came twice has its values with commas between"""
    content: bytes


class Hearer(Protocol):
    """What hears the body of an answer while it comes, as it comes: it may be compressed.

    It never blocks. Context variables are not those of who asked: the connection may be older.
    """

    def starts(self, status: int, headers: Mapping[str, str], /) -> bool:
        """Tell, by its head, whether it is to be heard; if not, it is read to its end."""
        ...

    def feed(self, piece: bytes, /) -> object:
        """Take what came next. What is raised ends the call, as if the call had raised it."""
        ...


class Connection(asyncio.Protocol):
    """A connection, for one request at a time. *left* hears that it is no more."""

    def __init__(self, left: Callable[["Connection"], object]) -> None:
        self.may_be_kept = False
        """Whether another request may follow the one that was answered."""
        self._idle_since = 0.0
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        # What aiohttp forgives a server, too: what it means is beyond doubt.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._answer: asyncio.Future[WireAnswer] | None = None
        self._hearer: Hearer | None = None
        self._is_heard = False
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._bare = 0
        self._unread = select.poll()
        self._is_in_body = self._lasts_until_close = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, hearer: Hearer | None = None) -> WireAnswer:
        """Send *request* and read the answer to it; who is cut short leaves no connection.

        What *hearer* has heard is not in the answer.
        Raises NotConnectedError where it cannot have been sent, and OSError (CutShortError,
        NotHTTPError) where no complete answer came: whether it arrived is not known then.
        """
        if self._transport is None or self._transport.is_closing():
            problem = "the connection has ended"
            raise NotConnectedError(problem)
        answer: asyncio.Future[WireAnswer] = self._loop.create_future()
        self._answer, self._hearer = answer, hearer
        self.may_be_kept = False
        self._transport.write(request)
        del request  # it may be long, and its answer take minutes
        try:
            return await answer
        except BaseException:
            self.end()
            raise
        finally:
            self._answer = self._hearer = None
            del answer  # its error holds this frame, and with it the frames of who asked

    def put_by(self) -> None:
        """Note that from now on nobody asks."""
        self._idle_since = monotonic()

    def is_fresh(self, kept_s: float) -> bool:
        """Tell whether it may be asked again, having been put by at most *kept_s* seconds ago.

        What came meanwhile is its end, or an answer that nobody asked for, even where the loop has
        not read it yet. One that was put by less than READ_WITHIN_S ago is taken as the loop knows
        it: to ask the system gives Python's lock away, which a busy process waits for.
        """
        idle_s = monotonic() - self._idle_since
        if not self.is_open or idle_s > kept_s:
            return False
        return idle_s < READ_WITHIN_S or not self._unread.poll(0)

    def end(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._unread.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(NotHTTPError(type(error).__name__))
            self.end()
        if self._bare > _MOST_BARE:
            self._fail(NotHTTPError("headers without an end"))
            self.end()

    def eof_received(self) -> None:
        # The loop would wait until all was sent that is still to be sent, which nobody may read.
        self._no_more_comes(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._left(self)
        self._no_more_comes(error)

    def _no_more_comes(self, error: Exception | None) -> None:
        if self._is_in_body and self._lasts_until_close and error is None:
            self.on_message_complete()
        cut = CutShortError("the connection ended before the answer did")
        cut.__cause__ = error
        self._fail(cut)

    def _fail(self, error: BaseException) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # What the parser tells. What is raised here ends the connection.

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            problem = "an answer that nobody asked for"
            raise NotHTTPError(problem)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_body:
            return  # a trailer
        key, text = name.decode("latin-1").lower(), value.rstrip().decode("latin-1")
        had = self._headers.get(key)
        self._headers[key] = text if had is None else f"{had}, {text}"

    def on_headers_complete(self) -> None:
        self._is_in_body = True
        self._lasts_until_close = not (self._parser.should_keep_alive() or self._tells_its_length())
        status, hearer = self._parser.get_status_code(), self._hearer
        if hearer is None or status // 100 == 1:
            return
        try:
            self._is_heard = hearer.starts(status, self._headers)
        except BaseException as error:  # noqa: BLE001  of who asked, and told there
            self._give_up(error)

    def _tells_its_length(self) -> bool:
        told = {name.rstrip(): value for name, value in self._headers.items()}  # llhttp forgives it
        if (coding := told.get("transfer-encoding")) is not None:
            return coding.rpartition(",")[2].strip().lower() == "chunked"
        return "content-length" in told

    def on_body(self, piece: bytes) -> None:
        self._bare = 0
        if not self._is_heard:
            self._body.append(piece)
        elif self._hearer is not None:
            try:
                self._hearer.feed(piece)
            except BaseException as error:  # noqa: BLE001  of who asked, and told there
                self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        if isinstance(error, StopIteration):  # which no future takes
            told = RuntimeError("a hearer raised StopIteration")
            told.__cause__ = error
            error = told
        self._fail(error)
        self._hearer = None
        self.end()

    def on_message_complete(self) -> None:
        self._is_in_body = self._is_heard = False
        status = self._parser.get_status_code()
        headers, body = self._headers, self._body
        self._headers, self._body = {}, []  # who is idle holds no answer
        if status // 100 == 1 or self._answer is None or self._answer.done():
            return  # the answer is still to come
        self._bare = 0
        self.may_be_kept = (
            self._transport is not None
            and self._parser.should_keep_alive()
            and self._transport.get_write_buffer_size() == 0
        )
        self._answer.set_result(WireAnswer(status, headers, b"".join(body)))
