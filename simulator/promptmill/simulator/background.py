"""Answers that are made in the background, and asked for by their ids."""

from collections.abc import Callable
from typing import Any

import msgspec

from promptmill.simulator.dialects.base import encode
from promptmill.simulator.wire import Reply

PATH = "/v1/responses/"
_NOT_THERE: dict[str, Any] = {
    "error": None,
    "incomplete_details": None,
    "output": [],
    "usage": None,
}


class Kept:
    """The answers of one simulator. *clock* tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._replies: dict[str, tuple[float, Reply]] = {}

    def begin(self, reply: Reply) -> Reply:
        """Keep *reply* for later; return what is said of it now."""
        body = msgspec.json.decode(reply.body)
        self._replies[body["id"]] = (self._clock(), reply)
        return _pending(reply, "queued")

    def look(self, path: str, *, takes_s: float) -> Reply | None:
        """Return the answer that *path* names, or that it is not there yet; None: no such one."""
        began_at, reply = self._replies.get(path.removeprefix(PATH), (0.0, None))
        if reply is None or self._clock() - began_at >= takes_s:
            return reply
        return _pending(reply, "in_progress")


def _pending(reply: Reply, status: str) -> Reply:
    body = msgspec.json.decode(reply.body)
    return reply._replace(body=encode({**body, **_NOT_THERE, "status": status}))
