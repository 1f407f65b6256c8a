"""The messages of a request as turns: what can be left out of it whole, and what can be cut.

A turn is what a user says and all that follows until the user speaks again, so a call of a tool and
what the tool answered are in one turn. What the system says is in none, and stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptmill.schema.requests import NATIVE, Endpoint, endpoint_of, native_of

Path = tuple[str | int, ...]
"""where in a value another one stands: keys and indexes"""

_SYSTEM: Final = frozenset({"system", "developer"})
_LISTS: Final = ("messages", "contents", "input")
_SAID: Final = ("content", "parts", "output", "text")
_ANSWERS_OF_TOOLS: Final = frozenset({"tool_result", "functionResponse", "function_response"})
_NOT_OURS: Final = frozenset({"assistant", "model", *_SYSTEM})
"""Roles whose texts are never cut: what the model said must stay as it was."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one request, and where in it they stand."""

    place: Path
    messages: Sequence[Any]
    turns: tuple[tuple[int, ...], ...]
    """indexes of messages, the last turn last"""


def conversation_of(body: Mapping[str, Any]) -> Conversation | None:
    """Find the messages of a stored request. None: it has none that could be cut."""
    place, holder = ((NATIVE,), native) if (native := native_of(body)) else ((), body)
    endpoint = endpoint_of(body)
    for name in _LISTS:
        said = holder.get(name)
        if isinstance(said, str) and endpoint in (Endpoint.RESPONSES, Endpoint.EMBEDDINGS):
            return Conversation((*place, name), [said], ((0,),))
        if isinstance(said, list) and said and endpoint in (Endpoint.CHAT, Endpoint.RESPONSES):
            return Conversation((*place, name), said, tuple(_turns(said)))
    if endpoint is Endpoint.EMBEDDINGS and isinstance(holder.get("content"), Mapping):
        return Conversation((*place, "content"), [holder["content"]], ((0,),))
    return None


def without(conversation: Conversation, turns: Sequence[tuple[int, ...]]) -> list[Any]:
    """Return the messages without those of *turns*."""
    gone = {index for turn in turns for index in turn}
    return [said for index, said in enumerate(conversation.messages) if index not in gone]


def texts_of(message: Any) -> Iterator[tuple[Path, str]]:
    """Yield the texts of a message that may be cut, and where in it they stand."""
    if isinstance(message, str):
        yield (), message
    elif isinstance(message, Mapping) and _may_be_cut(message):
        yield from _texts(message)


def replaced(value: Any, place: Path, new: Any) -> Any:
    """Return a copy of *value* with *new* at *place*."""
    if not place:
        return new
    first, *rest = place
    inner = replaced(value[first], tuple(rest), new)
    if isinstance(value, list):
        return [inner if at == first else item for at, item in enumerate(value)]
    return {**value, first: inner}


def _turns(messages: Sequence[Any]) -> Iterator[tuple[int, ...]]:
    turn: list[int] = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role in _SYSTEM:
            continue
        if turn and _is_a_users(message, role):
            yield tuple(turn)
            turn = []
        turn.append(index)
    if turn:
        yield tuple(turn)


def _is_a_users(message: Any, role: Any) -> bool:
    """Tell what a user says from what tools answer, which some providers call a user's too."""
    if isinstance(message, Mapping) and role is None:
        return "parts" in message  # Gemini's, where nobody is named
    if role != "user":
        return False
    parts = message.get("content", message.get("parts"))
    return not isinstance(parts, list) or not any(map(_is_of_a_tool, parts))


def _may_be_cut(message: Mapping[str, Any]) -> bool:
    role = message.get("role")
    if role is None:  # Gemini's, or what a tool answered by OpenAI's responses
        return "parts" in message or "output" in message
    return role not in _NOT_OURS


def _is_of_a_tool(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    return part.get("type") in _ANSWERS_OF_TOOLS or not _ANSWERS_OF_TOOLS.isdisjoint(part)


def _texts(value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for field in _SAID:
        said = value.get(field)
        if isinstance(said, str):
            yield (field,), said
        elif isinstance(said, list):
            for at, part in enumerate(said):
                if isinstance(part, Mapping):
                    for place, text in _texts(part):
                        yield (field, at, *place), text
