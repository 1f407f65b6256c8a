"""One client connection: requests in, replies out, and the accidents that befall them."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import cast

from promptmill.simulator.batches.desk import Desk
from promptmill.simulator.control import Control
from promptmill.simulator.dialects.base import encode
from promptmill.simulator.engine import Call, Engine, find_dialect
from promptmill.simulator.faults import Accident, Fault
from promptmill.simulator.wire import BadHttp, Parser, Reply, Request, render_head

_GARBAGE = bytes(range(128, 256)) * 2 + b"\r\n\r\n"
# on, 0 seconds: close() then sends RST in place of FIN
_LINGER_NOT = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Answers one request after the other; what comes meanwhile waits in the parser.

    A client that goes away stops nothing: as at a provider, its answer is produced and billed.
    """

    _transport: asyncio.Transport

    def __init__(
        self, engine: Engine, control: Control, desk: Desk, connections: set["Connection"]
    ) -> None:
        self._engine = engine
        self._control = control
        self._desk = desk
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._busy = False
        self._lost = False
        self._keep_alive = True
        self._is_full = False
        self._is_flushing = False
        self._is_advancing = False
        self._unsent: Call | None = None
        self._held: Call | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # So that `pause_writing` tells of every byte that the operating system did not take.
        self._transport.set_write_buffer_limits(high=0)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        if not self._busy:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost = True
        self._connections.discard(self)
        for call in (self._unsent, self._held):
            if call is not None:
                self._engine.bill.close(call.entry, status=call.entry.status, complete=False)
        self._unsent = self._held = None

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if not self._is_flushing:
            return
        self._is_flushing = False
        if self._unsent is not None:
            call, self._unsent = self._unsent, None
            self._engine.bill.close(call.entry, status=call.entry.status, complete=True)
        self._next()

    def abort(self) -> None:
        """End at once; a call that is open stays unanswered."""
        self._transport.abort()

    def _next(self) -> None:
        """Go on to the next request, after a reply is out."""
        self._busy = False
        if not self._keep_alive:
            self._transport.close()
        elif not self._is_advancing:
            self._advance()

    def _advance(self) -> None:
        """Take all requests that are there, up to one that must wait for its answer."""
        self._is_advancing = True
        try:
            self._take_requests()
        finally:
            self._is_advancing = False

    def _take_requests(self) -> None:
        while not self._busy and not self._transport.is_closing():
            try:
                request = self._parser.next()
            except BadHttp as error:
                self._keep_alive = False
                self._reply(Reply(error.status, encode({"error": str(error)}), []))
                return
            if request is None:
                if self._parser.wants_continue:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._handle(request)

    def _handle(self, request: Request) -> None:
        self._keep_alive = request.head.keep_alive
        dialect, is_call = find_dialect(request)
        if dialect is None:
            self._reply_beside(request)
        elif not is_call:
            self._reply(self._engine.models(dialect, request))
        else:
            call = self._engine.begin(dialect, request)
            self._busy = True
            if call.delay_s > 0:
                self._loop.call_later(call.delay_s, self._finish, call)
            else:
                self._finish(call)

    def _reply_beside(self, request: Request) -> None:
        """Answer what is no call of a model."""
        said = self._desk.reply(request)
        if said is None:
            self._reply(self._control.reply(request))
        elif said.is_lost:
            self._reset()
        else:
            self._reply(said.reply)

    def _finish(self, call: Call) -> None:
        reply = self._engine.finish(call)
        if self._lost or self._transport.is_closing():
            self._engine.bill.close(call.entry, status=0, complete=False)
        elif call.fault is None or call.refusal is not None:
            self._send(call, reply)
        else:
            self._play(call, call.fault, reply)

    def _reply(self, reply: Reply) -> None:
        """Send a reply that is on no bill."""
        self._busy = True
        self._transport.write(render_head(reply, keep_alive=self._keep_alive) + reply.body)
        self._is_flushing = self._is_full
        if not self._is_full:
            self._next()

    def _send(self, call: Call, reply: Reply) -> None:
        call.entry.status = reply.status
        head = render_head(reply, keep_alive=self._keep_alive)
        if reply.events is None:
            self._transport.write(head + reply.body)
            self._sent(call, reply)
        else:
            self._held = call
            self._transport.write(head)
            self._flow(call, reply, iter(reply.chunks))

    def _flow(self, call: Call, reply: Reply, chunks: Iterator[bytes]) -> None:
        """Write a stream, one event each interval; without one, each by itself all the same."""
        interval_s = self._engine.config.chunk_interval_s
        for chunk in chunks:
            if self._lost:
                return
            self._transport.write(chunk)
            if interval_s:
                self._loop.call_later(interval_s, self._flow, call, reply, chunks)
                return
        self._held = None
        self._sent(call, reply)

    def _sent(self, call: Call, reply: Reply) -> None:
        self._is_flushing = self._is_full
        if self._is_full:
            self._unsent = call
        else:
            complete = not self._transport.is_closing()
            self._engine.bill.close(call.entry, status=reply.status, complete=complete)
            self._next()

    def _play(self, call: Call, fault: Fault, reply: Reply) -> None:
        """Let an accident befall a reply."""
        match fault.what:
            case Accident.HANG:
                self._held = call
            case Accident.DRIP:
                call.entry.status = reply.status
                self._held = call
                self._transport.write(render_head(reply, keep_alive=self._keep_alive))
                self._drip(call, b"".join(reply.chunks), 0, fault.interval_s)
            case Accident.CUT:
                self._transport.write(self._beginning(reply, fault))
                self._break_off(call, reply.status)
            case Accident.STALL:
                call.entry.status = reply.status
                self._held = call
                self._transport.write(self._beginning(reply, fault))
            case Accident.GARBAGE:
                self._transport.write(_GARBAGE)
                self._break_off(call, 0)
            case Accident.RESET:
                self._engine.bill.close(call.entry, status=0, complete=False)
                self._reset()
            case _:
                self._send(call, reply)

    def _reset(self) -> None:
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

    def _beginning(self, reply: Reply, fault: Fault) -> bytes:
        head = render_head(reply, keep_alive=self._keep_alive)
        if reply.events is None:
            return head + reply.body[: fault.after_bytes]
        return head + b"".join(reply.chunks[:-1])

    def _drip(self, call: Call, body: bytes, at: int, interval_s: float) -> None:
        if self._lost:
            return
        self._transport.write(body[at : at + 1])
        if at + 1 < len(body):
            self._loop.call_later(interval_s, self._drip, call, body, at + 1, interval_s)
        else:
            self._held = None
            self._engine.bill.close(call.entry, status=call.entry.status, complete=True)
            self._next()

    def _break_off(self, call: Call, status: int) -> None:
        self._engine.bill.close(call.entry, status=status, complete=False)
        self._transport.close()
