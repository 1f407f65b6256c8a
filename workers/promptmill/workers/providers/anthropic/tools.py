"""Tools as Anthropic is told of them (https://docs.claude.com/en/docs/agents-and-tools/tool-use)."""

from collections.abc import Mapping
from typing import Any, Final

from promptmill.workers.providers.anthropic.blocks import marked
from promptmill.workers.providers.chat import Builtin, Choosing, Function, Tools

_BUILTINS: Final[Mapping[Builtin, dict[str, Any]]] = {
    # Of each the version that all of today's models take.
    Builtin.WEB_SEARCH: {"type": "web_search_20250305", "name": "web_search"},
    Builtin.CODE_EXECUTION: {"type": "code_execution_20250825", "name": "code_execution"},
}
_CHOOSING: Final = {Choosing.AUTO: "auto", Choosing.NONE: "none", Choosing.REQUIRED: "any"}


def tools_of(tools: Tools) -> dict[str, Any]:
    """Say *tools* as fields of a request."""
    said: dict[str, Any] = {
        "tools": [_function(one) for one in tools.functions]
        + [_BUILTINS[one] for one in tools.builtins]
    }
    choice: dict[str, Any] = {}
    if tools.only is not None:
        choice = {"type": "tool", "name": tools.only}
    elif tools.choosing is not None:
        choice = {"type": _CHOOSING[tools.choosing]}
    if tools.parallel is False and tools.choosing is not Choosing.NONE:
        choice = {"type": "auto"} | choice | {"disable_parallel_tool_use": True}
    return said | ({"tool_choice": choice} if choice else {})


def _function(function: Function) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": function.name,
        "input_schema": function.parameters or {"type": "object", "properties": {}},
    }
    if function.description is not None:
        said["description"] = function.description
    if function.strict:
        said["strict"] = True
    return marked(said, function.mark)
