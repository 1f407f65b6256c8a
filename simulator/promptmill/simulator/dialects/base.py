"""What a wire format must be able to say."""

from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.faults import Trouble
from promptmill.simulator.limits import Cost, Excess, Standings
from promptmill.simulator.provider import Provider
from promptmill.simulator.shapes import PLAIN, Wish
from promptmill.simulator.wire import Reply, Request


class Unreadable(Exception):  # noqa: N818  a 400 reply follows, with this message
    """A request body that the provider would refuse."""


class Prompt(NamedTuple):
    """What a request asks."""

    model: str
    text: str
    """all text parts in their order, the system's first, joined by newlines"""
    max_tokens: int | None
    streams: bool = False
    tells_usage: bool = True
    """whether a stream tells what it cost"""
    asked: Any = None
    """the body as its dialect reads it, where the answer depends on more"""
    weight: int | None = None
    """output tokens of an answer that is no text"""
    wish: Wish = PLAIN
    """the shape that the answer is to have"""
    in_background: bool = False
    """whether the answer is to be asked for later"""


class Context(NamedTuple):
    """What every reply tells beside its subject."""

    request_id: str
    """32 hex digits; each provider dresses them its own way"""
    model: str
    standings: Standings
    """empty where headers tell nothing"""
    wall_time: float
    """seconds since 1970"""
    tells_wait: bool = True
    """whether a refusal by a limit says when to come back"""
    asked: Any = None
    """what the prompt has of the body"""


class Dialect(Protocol):
    """One provider's wire format. Has no state."""

    provider: Provider

    def key(self, request: Request) -> str:
        """Return the API key, or ""."""
        ...

    def parse(self, request: Request) -> Prompt:
        """Read the prompt. Raises Unreadable."""
        ...

    def thinks(self, model: str) -> bool:
        """Tell whether *model* may use reasoning tokens."""
        ...

    def cost_at_start(self, prompt: Prompt, input_tokens: int) -> Cost:
        """Return what the provider's limits count before the answer."""
        ...

    def cost_at_end(self, output_tokens: int) -> Cost:
        """Return what they count when the answer is there."""
        ...

    def succeed(self, context: Context, answer: Answer) -> Reply:
        """Say an answer."""
        ...

    def stream(self, context: Context, prompt: Prompt, answer: Answer, texts: list[str]) -> Reply:
        """Say an answer in events, one for each of *texts*, which are its text in pieces."""
        ...

    def error_event(self, body: bytes) -> bytes:
        """Say an error, whose body this is, in a stream."""
        ...

    def refuse(self, context: Context, trouble: Trouble, *, message: str | None = None) -> Reply:
        """Say an error that is no limit's. *message* replaces the usual one."""
        ...

    def limit(self, context: Context, excess: Excess, *, retry_after: str | None) -> Reply:
        """Say that a limit is reached. *retry_after* is sent in place of the true wait.

        Without it, and where the context does not tell waits, nothing says when to come back.
        """
        ...

    def models(self, context: Context, path: str) -> Reply:
        """List the models, or show the one that *path* names."""
        ...


T = TypeVar("T")
EVENT_STREAM = "text/event-stream; charset=utf-8"
encode = msgspec.json.Encoder().encode


def event(data: Any, name: str | None = None) -> bytes:
    """Write a server-sent event."""
    named = f"event: {name}\n".encode() if name else b""
    return b"%sdata: %s\n\n" % (named, data if isinstance(data, bytes) else encode(data))


def text_of(content: str | list[Any] | None) -> list[str]:
    """Return the texts of a content: a string, or parts of which some have a `text`."""
    if content is None:
        return []
    if isinstance(content, str):
        return [content]
    return [text for part in content if (text := getattr(part, "text", None)) is not None]


def decode_as(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode *body*. Raises Unreadable with what is wrong."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from None
