"""The message that says no more than an `Answer` holds: of any other the whole is kept."""

from typing import Annotated, Any

import msgspec

_Nothing = Annotated[list[Any], msgspec.Meta(max_length=0)] | None


class _Text(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    text: str
    citations: _Nothing = None


class _ToolUse(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="tool_use"):
    id: Any
    name: Any
    input: Any
    caller: Any = None


class PlainMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message of texts and calls of tools."""

    content: list[_Text | _ToolUse]
    usage: Any = None
    id: Any = None
    type: Any = None
    role: Any = None
    model: Any = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: None = None
    container: None = None
    context_management: None = None
