"""Marks for other providers in a body that goes to OpenAI, which refuses fields it does not know.

They change no answer: OpenAI caches by itself what begins alike.
"""

from typing import Any, Final

_MARKS: Final = ("cache_control", "extra_content")


def strip_marks(body: dict[str, Any]) -> None:
    """Take the marks out of *body*, whose own values are left as they are."""
    body.pop("cache_control", None)
    if body.get("tools"):
        body["tools"] = _without(body["tools"])
    messages = body.get("messages")
    if isinstance(messages, list) and any(map(_may_have, messages)):
        body["messages"] = [_message(message) for message in messages]


def _may_have(message: Any) -> bool:
    return isinstance(message, dict) and (
        type(message.get("content")) is list
        or "tool_calls" in message
        or "cache_control" in message
    )


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    parted = {
        field: _without(message[field]) for field in ("content", "tool_calls") if field in message
    }
    return {name: value for name, value in message.items() if name not in _MARKS} | parted


def _without(parts: Any) -> Any:
    """Take the marks off each of *parts*, where it is a list of objects."""
    if not isinstance(parts, list):
        return parts
    return [
        {name: value for name, value in part.items() if name not in _MARKS}
        if isinstance(part, dict)
        else part
        for part in parts
    ]
