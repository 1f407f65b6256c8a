"""What every provider adapter takes and gives.

An adapter sends one request, once, and turns whatever comes back into a value. No exception of an
SDK leaves it: their `str` and `pickle` carry the key. The `repr` of these values shows no prompt
and no answer, so that a log line or a traceback cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from promptmill.schema.answer_forms import Checked
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.requests import Endpoint
from promptmill.workers.providers.listener import Listener


class Begun(Protocol):
    """What is remembered of a response that the provider makes in the background."""

    known: str | None
    """its id; None: it is still to be asked for"""
    poll_s: float

    async def keep(self, response_id: str) -> None:
        """Remember it. It is committed when this returns."""
        ...

    async def forget(self) -> None:
        """No answer comes of it: the next attempt asks anew."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a provider."""

    model: str
    body: Mapping[str, Any] = field(repr=False)
    """An OpenAI chat-completions body: our one request shape, which adapters translate. Or the
    provider's own, see `schema.requests`."""
    request_id: str
    """Sent as `X-Client-Request-Id`; names job and fence."""
    timeout_s: float
    """Total deadline, from the first byte sent to the last byte read."""
    endpoint: Endpoint = Endpoint.CHAT
    begun: Begun | None = None
    """where the answer is made in the background: nothing is sent for what is begun already"""
    listener: Listener | None = field(default=None, repr=False)
    """who hears the answer while it comes: then it is streamed, whatever the body says"""


NO_CALL = Call(model="", body={}, request_id="", timeout_s=0.0)
"""What an error is about that a batch as a whole was answered."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, or anything else that is no text, in an answer."""

    media_type: str
    base64: str = field(repr=False)
    """as it stands in the answer"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete, usable answer."""

    text: str | None = field(repr=False)
    finish_reason: str
    usage: Usage | None
    """None where the provider told none; never guessed."""
    response_model: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    """The provider's own id of the request, from its headers."""
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits told by headers, by our names: rpm, tpm, itpm, otpm, rpd, tpd."""
    endpoint: Endpoint = Endpoint.CHAT
    body: bytes | None = field(default=None, repr=False)
    """The provider's own answer, JSON: where the fields above do not hold all of it."""
    first_token_s: float | None = None
    """From the request to the first token, where the answer was streamed."""
    media: tuple[Media, ...] = ()
    """What of the body belongs into files."""
    checked: Checked | None = None
    """Whether it has the form that was asked for; None: none was."""


@dataclass(frozen=True, slots=True)
class Length:
    """What a provider says of a request that is too long for its model, in tokens."""

    tokens: int | None = None
    most: int | None = None
    """that the model takes"""
    may_cut: bool = True
    """it may be sent again, once it is cut"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """No usable answer, and what that means."""

    kind: ErrorKind
    message: str
    """At most 500 characters, with no key, no prompt and no answer in it."""
    http_status: int | None = None
    code: str | None = None
    """The provider's own word for the error."""
    retry_after_s: float | None = None
    request_id: str | None = None
    usage: Usage | None = None
    """Where a refusal was billed (bad_response). Of a stream that broke off, see `charged`."""
    raw: bytes | None = field(default=None, repr=False)
    """What came, for bad_response and of a stream that broke off; at most 64 KiB, the key struck
    out."""
    limits: Mapping[str, float] = field(default_factory=dict)
    first_token_s: float | None = None
    too_long: Length | None = None
    blocked: bool = False
    """By a content filter: another model may answer."""


def charged(reply: Answer | Refusal) -> Usage | None:
    """Return the whole usage of a call, or None where only a part of it is known, or nothing."""
    if isinstance(reply, Refusal) and reply.kind is ErrorKind.UNKNOWN:
        return None
    return reply.usage


class Provider(Protocol):
    """One provider's adapter; one instance a process and an event loop."""

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
