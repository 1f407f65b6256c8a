"""HTTP as uvicorn reads it, with a bound on the time and the size of the head of a request.

uvicorn has neither: whoever sends headers slowly keeps a connection for ever, and whoever sends
many of them fills the memory. What comes after the head is the door's.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 1 << 16


def heads_within(seconds: float) -> type[HttpToolsProtocol]:
    """Make the protocol of a server that waits so long for the head of a request."""
    return type("BoundedInTime", (_Bounded,), {"head_s": seconds})


class _Bounded(HttpToolsProtocol):
    """Closes a connection whose head does not come to an end."""

    head_s = 0.0

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._head_bytes = 0
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_due is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._head_due is None:
            self._head_bytes = 0
            self._head_due = self.loop.call_later(self.head_s, self.transport.close)

    def _head_came(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
