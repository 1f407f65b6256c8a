"""Our one request shape, read for the providers that speak another.

Chat completions as in an OpenAI body: text goes in, text comes out. What has no exact counterpart
elsewhere (tools, images, log probabilities) is refused by name and before anything is sent;
silently leaving it out would answer another question than the one that was asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

# Ours to decide, or without effect on the answer.
_LEFT_OUT = frozenset({"model", "stream", "stream_options", "metadata", "store", "user"})


class UnsendableError(Exception):
    """A request that cannot be said in a provider's words. Nothing was sent."""

    def __init__(self, *, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[_Part]


class _JSONSchema(msgspec.Struct):
    schema: dict[str, Any]


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _JSONSchema | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: _ResponseFormat | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the user or the assistant."""

    role: str
    """`user` or `assistant`"""
    text: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A request in nobody's words."""

    system: str | None
    turns: tuple[Turn, ...]
    max_tokens: int | None
    sampling: Mapping[str, Any]
    """temperature, top_p, top_k, seed, stop (a list), frequency_penalty, presence_penalty: only
    those that were given."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer has to follow."""


def read_chat(body: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> Chat:
    """Read *body*. Raises UnsendableError that names the field which cannot be said.

    *without* names the sampling fields that the provider has no counterpart for.
    """
    asked = {
        key: value for key, value in body.items() if value is not None and key not in _LEFT_OUT
    }
    try:
        read = msgspec.convert(asked, type=_Body)
    except msgspec.ValidationError as error:
        raise UnsendableError(field="body", problem=str(error)) from None
    if read.n not in {None, 1}:
        raise UnsendableError(field="n", problem="one prompt gets one answer")
    sampling = _sampling(read)
    for field in sampling.keys() & without:
        raise UnsendableError(field=field, problem="this provider has no such parameter")
    system, turns = _turns(read.messages)
    return Chat(
        system, turns, read.max_completion_tokens or read.max_tokens, sampling, _schema(read)
    )


def encode(body: Mapping[str, Any]) -> bytes:
    """Encode a request as JSON. Raises UnsendableError where a text is not valid Unicode."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError):
        raise UnsendableError(field="body", problem="holds text that is no Unicode") from None


def _schema(read: _Body) -> Mapping[str, Any] | None:
    form = read.response_format
    if form is None or form.type == "text":
        return None
    if form.type == "json_schema" and form.json_schema is not None:
        return form.json_schema.schema
    problem = "this provider gives JSON by a schema only: response_format of type json_schema"
    raise UnsendableError(field="response_format", problem=problem)


def _sampling(read: _Body) -> dict[str, Any]:
    given = {
        "temperature": read.temperature,
        "top_p": read.top_p,
        "top_k": read.top_k,
        "seed": read.seed,
        "stop": [read.stop] if isinstance(read.stop, str) else read.stop,
        "frequency_penalty": read.frequency_penalty,
        "presence_penalty": read.presence_penalty,
    }
    return {name: value for name, value in given.items() if value is not None}


def _turns(messages: list[_Message]) -> tuple[str | None, tuple[Turn, ...]]:
    system: list[str] = []
    turns: list[Turn] = []
    for at, message in enumerate(messages):
        text = _text(message.content, at)
        if message.role in {"user", "assistant"}:
            turns.append(Turn(message.role, text))
        elif message.role in {"system", "developer"} and not turns:
            system.append(text)
        else:
            problem = "only user and assistant may follow the first turn, and only system precede"
            raise UnsendableError(field=f"messages[{at}].role", problem=problem)
    if not turns:
        raise UnsendableError(field="messages", problem="has no message of the user")
    return "\n\n".join(system) or None, tuple(turns)


def _text(content: str | list[_Part], at: int) -> str:
    if isinstance(content, str):
        return content
    for number, part in enumerate(content):
        if part.type != "text" or part.text is None:
            field = f"messages[{at}].content[{number}]"
            raise UnsendableError(field=field, problem="only text can be sent to this provider yet")
    return "".join(part.text or "" for part in content)
