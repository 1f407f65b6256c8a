"""How an endpoint streams: how its events become the body that it would have answered whole.

And what is said of them meanwhile.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from promptmill.workers.providers.listener import Piece
from promptmill.workers.providers.reply import Reply


class Fold(Protocol):
    """What has come of one answer. Takes the data of events, in their order."""

    has_begun: bool
    """a token of the answer has come: from here on it may be charged"""
    is_complete: bool
    """its finish reason has come"""
    error: Reply | None
    """that came in the place of an event, with the status that it has where nothing is streamed"""

    def add(self, data: bytes) -> None:
        """Take an event. Raises ValueError for what is no object, and what Python raises for one of
        another shape than this endpoint's.
        """
        ...

    def body(self) -> Mapping[str, Any]:
        """Return what an unstreamed answer would be, as far as it has come."""
        ...


class Speech(Protocol):
    """Says the events of one answer to who listens. Takes those that its `Fold` took."""

    def say(self, data: bytes) -> Iterable[Piece]:
        """Say an event. Raises what Python raises for one of another shape than is known."""
        ...


def never(_: Mapping[str, Any]) -> bool:
    """Say of no request that it has to be streamed."""
    return False


@dataclass(frozen=True, slots=True)
class Streaming:
    """What an adapter has to know to stream an endpoint."""

    path: str
    fold: Callable[[], Fold]
    ask: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """Say in a request that it wants a stream."""
    speech: Callable[[], Speech]
    is_needed: Callable[[Mapping[str, Any]], bool] = never
    """Whether the provider answers this request in no other way."""


def decode_event(data: bytes) -> dict[str, Any]:
    """Decode the JSON object of an event. Raises ValueError."""
    try:
        event = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        event = json.loads(data)  # half of a surrogate pair: the other half comes with the next
    if not isinstance(event, dict):
        msg = "an event is an object"
        raise ValueError(msg)
    return event


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Write what was folded. Halves of a surrogate pair that meet become one character."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return json.dumps(body).encode()
