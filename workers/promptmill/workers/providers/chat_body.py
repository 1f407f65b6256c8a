"""Our one request shape, read: an OpenAI chat-completions body made into a `Chat`."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from promptmill.workers.providers.chat import (
    AnswerForm,
    Chat,
    Media,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    UnsendableError,
)
from promptmill.workers.providers.chat_parts import converted, read_parts
from promptmill.workers.providers.chat_tools import read_calls, read_tools

# Ours to decide, or without effect on the answer.
_LEFT_OUT: Final = frozenset(
    {"model", "stream", "stream_options", "metadata", "store", "user"}
    | {"safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    cache_control: dict[str, Any] | None = None


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
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    cache_control: dict[str, Any] | None = None


_BESIDE: Final = {
    "assistant": frozenset({"tool_calls", "refusal"}),
    "tool": frozenset({"tool_call_id", "name", "cache_control"}),
}
"""What a message of a role may have beside its content."""


def read_chat(body: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> Chat:
    """Read *body*. Raises UnsendableError that names the field which cannot be said.

    *without* names the sampling fields that the provider has no counterpart for.
    """
    asked = {
        key: value for key, value in body.items() if value is not None and key not in _LEFT_OUT
    }
    read = converted(asked, _Body, "body")
    if read.n not in {None, 1}:
        raise UnsendableError(field="n", problem="one prompt gets one answer")
    if read.reasoning_effort not in {None, *_EFFORTS}:
        problem = f"is none of {', '.join(_EFFORTS)}"
        raise UnsendableError(field="reasoning_effort", problem=problem)
    sampling = _sampling(read)
    for field in sampling.keys() & without:
        raise UnsendableError(field=field, problem="this provider has no such parameter")
    first = _first_turn(read.messages)
    return Chat(
        system=_system(read.messages[:first]),
        turns=_turns(read.messages, first),
        max_tokens=read.max_completion_tokens or read.max_tokens,
        sampling=sampling,
        form=_form(read),
        tools=read_tools(read.tools or [], read.tool_choice, read.parallel_tool_calls),
        effort=read.reasoning_effort,
        mark=read.cache_control,
    )


def _form(read: _Body) -> AnswerForm | None:
    form = read.response_format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return AnswerForm(None)
    if form.type == "json_schema" and form.json_schema is not None:
        return AnswerForm(form.json_schema.schema)
    problem = "is none of text, json_object, and json_schema with a schema"
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


def _first_turn(messages: list[_Message]) -> int:
    """Tell where the system's messages end. Raises UnsendableError where nothing follows."""
    for at, message in enumerate(messages):
        if message.role not in {"system", "developer"}:
            return at
    raise UnsendableError(field="messages", problem="has no message of the user")


def _system(messages: list[_Message]) -> tuple[Text, ...]:
    """Read what precedes the turns: each message a paragraph."""
    texts: list[Text] = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        _check_beside(message, where)
        parts = [
            part if isinstance(part, Text) else _no_text(f"{where}.content")
            for part in _content(message, where)
        ]
        if texts and parts:
            parts[0] = Text(f"\n\n{parts[0].text}", parts[0].mark)
        texts += parts
    return tuple(texts)


def _turns(messages: list[_Message], first: int) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    called: dict[str, str] = {}
    after_tool = False
    for at in range(first, len(messages)):
        message, where = messages[at], f"messages[{at}]"
        _check_beside(message, where)
        if message.role == "tool":
            result = _result(message, called, where)
            if after_tool:  # all that was called at once is answered in one turn
                turns[-1] = Turn("user", (*turns[-1].parts, result))
            else:
                turns.append(Turn("user", (result,)))
        elif message.role == "user":
            turns.append(Turn("user", _content(message, where)))
        elif message.role == "assistant":
            turns.append(Turn("assistant", _said(message, called, where)))
        else:
            problem = "only user, assistant and tool may follow the first turn"
            raise UnsendableError(field=f"{where}.role", problem=problem)
        after_tool = message.role == "tool"
    return tuple(turns)


def _said(message: _Message, called: dict[str, str], where: str) -> tuple[Part, ...]:
    """Read an assistant's turn, and note by their ids the tools that it calls."""
    calls: tuple[ToolCall, ...] = ()
    if message.tool_calls:
        calls = read_calls(message.tool_calls, f"{where}.tool_calls")
        called |= {call.id: call.name for call in calls}
    said: tuple[Part, ...] = ()
    if message.content is not None:
        said = _content(message, where)
    elif message.refusal is not None:
        said = (Text(message.refusal),)
    if not said and not calls:
        raise UnsendableError(field=f"{where}.content", problem="there is none")
    for part in said:
        if not isinstance(part, Text):
            _no_text(f"{where}.content")
    return (*said, *calls)


def _result(message: _Message, called: Mapping[str, str], where: str) -> ToolResult:
    name = called.get(message.tool_call_id or "", message.name)
    if name is None or message.tool_call_id is None:
        problem = "is tool, and tool_call_id names no call of an assistant before it"
        raise UnsendableError(field=f"{where}.role", problem=problem)
    parts = _content(message, where)
    return ToolResult(message.tool_call_id, name, parts, message.cache_control)


def _content(message: _Message, where: str) -> tuple[Text | Media, ...]:
    if message.content is None:
        raise UnsendableError(field=f"{where}.content", problem="there is none")
    return read_parts(message.content, f"{where}.content")


def _check_beside(message: _Message, where: str) -> None:
    beside = _BESIDE.get(message.role, frozenset())
    for field in ("tool_calls", "tool_call_id", "name", "refusal", "cache_control"):
        if getattr(message, field) is not None and field not in beside:
            problem = f"this provider has no such field in a message of {message.role[:20]}"
            raise UnsendableError(field=f"{where}.{field}", problem=problem)


def _no_text(where: str) -> Text:
    raise UnsendableError(field=where, problem="only the user's messages can have more than text")
