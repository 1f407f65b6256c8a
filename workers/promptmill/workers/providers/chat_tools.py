"""Tools in a body, read: what may be called, what was called, and what came of it."""

from typing import Any, Final

import msgspec

from promptmill.workers.providers.chat import (
    Builtin,
    Choosing,
    Function,
    ToolCall,
    Tools,
    UnsendableError,
)
from promptmill.workers.providers.chat_parts import converted

_BUILTINS: Final = frozenset(Builtin)


class _Declared(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    function: _Declared
    cache_control: dict[str, Any] | None = None


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    function: _Named


class _Called(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    function: _Called
    type: str = "function"
    extra_content: dict[str, Any] | None = None


def read_tools(tools: list[dict[str, Any]], choice: Any, parallel: bool | None) -> Tools | None:
    """Read what may be called; None where that is nothing. Raises UnsendableError."""
    if not tools:
        if choice in (None, "none", "auto"):
            return None
        raise UnsendableError(field="tool_choice", problem="there are no tools to choose from")
    functions, builtins = [], []
    for number, tool in enumerate(tools):
        if tool.get("type") in _BUILTINS and len(tool) == 1:
            builtins.append(Builtin(tool["type"]))
        else:
            functions.append(_function(tool, f"tools[{number}]"))
    choosing, only = _chosen(choice)
    if only is not None and only not in {each.name for each in functions}:
        raise UnsendableError(field="tool_choice", problem="names a function that is not in tools")
    return Tools(tuple(functions), tuple(builtins), choosing, only, parallel)


def read_calls(calls: list[Any], where: str) -> tuple[ToolCall, ...]:
    """Read the calls of an assistant's turn. Raises UnsendableError."""
    return tuple(_call(call, f"{where}[{number}]") for number, call in enumerate(calls))


def _function(tool: dict[str, Any], where: str) -> Function:
    if tool.get("type") != "function":
        problem = f"is none of function, {', '.join(sorted(_BUILTINS))}"
        raise UnsendableError(field=f"{where}.type", problem=problem)
    found = converted(tool, _Tool, where)
    declared = found.function
    return Function(
        declared.name,
        declared.description,
        declared.parameters,
        strict=bool(declared.strict),
        mark=found.cache_control,
    )


def _chosen(choice: Any) -> tuple[Choosing | None, str | None]:
    if choice is None:
        return None, None
    if isinstance(choice, str):
        if choice not in frozenset(Choosing):
            problem = f"is none of {', '.join(Choosing)}, and names no function"
            raise UnsendableError(field="tool_choice", problem=problem)
        return Choosing(choice), None
    named = converted(choice, _Choice, "tool_choice")
    if named.type != "function":
        raise UnsendableError(field="tool_choice.type", problem="only a function can be named")
    return Choosing.REQUIRED, named.function.name


def _call(call: Any, where: str) -> ToolCall:
    found = converted(call, _Call, where)
    if found.type != "function":
        raise UnsendableError(field=f"{where}.type", problem="only functions can be called")
    try:
        arguments = msgspec.json.decode(found.function.arguments or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        field = f"{where}.function.arguments"
        raise UnsendableError(field=field, problem="is no JSON object") from None
    google = (found.extra_content or {}).get("google")
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return ToolCall(found.id, found.function.name, arguments, signature)
