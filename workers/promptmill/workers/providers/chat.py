"""A chat in nobody's words: what our one request shape says, for the providers that speak another.

The shape is an OpenAI chat-completions body. `chat_body` reads it; a provider's own file says what
is here in its words, or refuses by name what it has no words for, before anything is sent. Leaving
that out silently would answer another question than the one that was asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class UnsendableError(Exception):
    """A request that cannot be said in a provider's words. Nothing was sent."""

    def __init__(self, *, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


Mark = Mapping[str, Any] | None
"""A `cache_control`, as Anthropic writes it: what the provider may cache ends here."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str = field(repr=False)
    mark: Mark = None


class MediaKind(StrEnum):
    """What a part that is no text holds."""

    IMAGE = "an image"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "a document"


@dataclass(frozen=True, slots=True)
class Inline:
    """The bytes themselves."""

    media_type: str
    data: str = field(repr=False)
    """base64"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the provider finds the bytes; nobody here opens it."""

    url: str = field(repr=False)
    media_type: str | None
    """as the name at its end tells"""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What was given to the provider before."""

    file_id: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound, a film or a document."""

    kind: MediaKind
    source: Inline | Address | Uploaded
    where: str
    """its place in the body, for an error"""
    mark: Mark = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant asked for in an earlier turn."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(repr=False)
    signature: str | None = field(default=None, repr=False)
    """Gemini's own mark of the thoughts that led to it, which it wants back"""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What such a call came to."""

    call_id: str
    name: str
    """of the tool"""
    parts: tuple["Text | Media", ...]
    mark: Mark = None


Part = Text | Media | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the user or the assistant; results of tools are the user's."""

    role: str
    """`user` or `assistant`"""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A tool of the user's own, which the model may ask to be called."""

    name: str
    description: str | None
    parameters: Mapping[str, Any] | None
    """JSON schema of an object"""
    strict: bool
    mark: Mark = None


class Builtin(StrEnum):
    """A tool that the provider runs by itself."""

    WEB_SEARCH = "web_search"
    CODE_EXECUTION = "code_execution"


class Choosing(StrEnum):
    """Whether the model calls a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Tools:
    """What the model may have called."""

    functions: tuple[Function, ...] = ()
    builtins: tuple[Builtin, ...] = ()
    choosing: Choosing | None = None
    """None: nothing is said"""
    only: str | None = None
    """the one function that it must call, where `choosing` is required"""
    parallel: bool | None = None
    """whether several calls may be asked for at once; None: nothing is said"""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The answer is to be JSON."""

    schema: Mapping[str, Any] | None
    """that it has to follow; None: any JSON object"""


@dataclass(frozen=True, slots=True)
class Chat:
    """A request in nobody's words."""

    system: tuple[Text, ...]
    turns: tuple[Turn, ...]
    max_tokens: int | None
    sampling: Mapping[str, Any]
    """temperature, top_p, top_k, seed, stop (a list), frequency_penalty, presence_penalty: only
    those that were given."""
    form: AnswerForm | None = None
    tools: Tools | None = None
    effort: str | None = None
    """how much to think: none, minimal, low, medium, high, xhigh, max"""
    mark: Mark = None
    """Anthropic's mark of the whole request"""


def plain(parts: tuple[Part, ...]) -> str | None:
    """Join *parts* where they are text without marks, as nearly all are; else None."""
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].mark is None:
        return parts[0].text
    if all(isinstance(part, Text) and part.mark is None for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return None


def encode(body: Mapping[str, Any]) -> bytes:
    """Encode a request as JSON. Raises UnsendableError where a text is not valid Unicode."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError):
        raise UnsendableError(field="body", problem="holds text that is no Unicode") from None
