"""Tools as Gemini is told of them (https://ai.google.dev/gemini-api/docs/function-calling)."""

from collections.abc import Mapping
from typing import Any, Final

from promptmill.workers.providers.chat import (
    Builtin,
    Choosing,
    Function,
    Tools,
    UnsendableError,
)

_BUILTINS: Final[Mapping[Builtin, dict[str, Any]]] = {
    Builtin.WEB_SEARCH: {"googleSearch": {}},
    Builtin.CODE_EXECUTION: {"codeExecution": {}},
}
_MODES: Final = {Choosing.AUTO: "AUTO", Choosing.NONE: "NONE", Choosing.REQUIRED: "ANY"}


def tools_of(tools: Tools) -> dict[str, Any]:
    """Say *tools* as fields of a request. Raises UnsendableError."""
    if tools.parallel is False:
        problem = "Gemini cannot be kept from asking for several calls at once"
        raise UnsendableError(field="parallel_tool_calls", problem=problem)
    said: list[dict[str, Any]] = [_BUILTINS[one] for one in tools.builtins]
    if tools.functions:
        said.append({"functionDeclarations": [_function(one) for one in tools.functions]})
    config = _calling(tools)
    if not config:
        return {"tools": said}
    return {"tools": said, "toolConfig": {"functionCallingConfig": config}}


def _calling(tools: Tools) -> dict[str, Any]:
    if tools.only is not None:
        return {"mode": "ANY", "allowedFunctionNames": [tools.only]}
    if tools.choosing in (None, Choosing.AUTO) and any(one.strict for one in tools.functions):
        return {"mode": "VALIDATED"}  # as AUTO, and a call follows its schema
    return {} if tools.choosing is None else {"mode": _MODES[tools.choosing]}


def _function(function: Function) -> dict[str, Any]:
    said: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        said["description"] = function.description
    if function.parameters is not None:
        said["parametersJsonSchema"] = function.parameters
    return said
