"""One endpoint of a provider: how its request is said, and how its answer is read."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import Usage
from promptmill.schema.requests import Endpoint, native_of
from promptmill.workers.providers.base import Answer, Call, Media
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.providers.fold import Streaming
from promptmill.workers.providers.reply import Reply

COMPLETED: Final = "completed"
"""The finish_reason of what is whole or not there: vectors, images, verdicts."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a provider tells beside an answer, the same at each of its endpoints."""

    request_id: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A complete answer that is none of those that the endpoint gives."""

    problem: str
    """In our own words, after "answered 200 with"."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The provider's filter stopped the prompt: the request itself is refused, with a 200."""

    code: str
    """The provider's own word for why."""


Read = Answer | Unusable | Blocked


@dataclass(frozen=True, slots=True)
class Operation:
    """What an adapter has to know of one endpoint."""

    path: str
    """Below the base URL; Gemini's follows the model's name."""
    body: Callable[[Call], Mapping[str, Any]]
    """Raises UnsendableError for what cannot be said."""
    read: Callable[[Reply, Envelope], Read]
    usage: Callable[[Reply], Usage | None]
    """What was charged, whatever else the answer has; None where it is not told."""
    streaming: Streaming | None = None
    """None: it never streams."""
    plain: type | None = None
    """A shape with room for what an `Answer` holds and no more; None: the same as any."""
    media: Callable[[Reply], Iterable[Media]] = lambda _: ()
    """The bytes that came in base64, as the answer has them."""


def operation_of(operations: Mapping[Endpoint, Operation], endpoint: Endpoint) -> Operation:
    """Return how *endpoint* is asked. Raises UnsendableError where the provider has none."""
    operation = operations.get(endpoint)
    if operation is None:
        raise UnsendableError(field="endpoint", problem=f"this provider answers no {endpoint}")
    return operation


def read_reply(operation: Operation, call: Call, reply: Reply, envelope: Envelope) -> Read:
    """Read a complete answer to *call*.

    The whole of it is kept where the request was in the provider's own words, and where it says
    more than an `Answer` holds.
    """
    read = operation.read(reply, envelope)
    if not isinstance(read, Answer):
        return read
    if native_of(call.body) is None and not _says_more(reply.body, operation.plain):
        return read
    media = tuple(operation.media(reply))
    return replace(read, endpoint=call.endpoint, body=reply.body, media=media)


def native_body(call: Call) -> dict[str, Any]:
    """Return the provider's own request, for the model that is asked."""
    return {**(native_of(call.body) or {}), "model": call.model}


def _says_more(body: bytes, plain: type | None) -> bool:
    if plain is None:
        return False
    try:
        msgspec.json.decode(body, type=plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    return False
