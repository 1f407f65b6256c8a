"""JSON that comes in pieces: texts grow by more text, lists by more items, objects by more fields.

What is gathered is joined when it is asked for, since a text that is joined with each of its pieces
is copied with each of them.
"""

from collections.abc import Mapping
from typing import Any

_SAID_ONCE = frozenset({"id", "type", "role", "name"})
"""Texts that do not grow. Some servers say them again with each piece."""


class Text(list[str]):
    """A text in pieces."""


class Numbered(dict[int, dict[str, Any]]):
    """A list whose items come in pieces, each with the `index` of its item."""


def grow(known: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Add *piece* to what is known. Of numbers and the like the last holds; null says nothing."""
    for name, value in piece.items():
        if value is None:
            known.setdefault(name, None)
        elif isinstance(value, str) and name not in _SAID_ONCE:
            _text(known, name).append(value)
        elif isinstance(value, list):
            known[name] = _longer(known.get(name), value)
        elif isinstance(value, dict):
            inner = known.get(name)
            if not isinstance(inner, dict):
                inner = known[name] = {}
            grow(inner, value)
        elif not (isinstance(value, str) and known.get(name)):
            known[name] = value


def grown(value: Any) -> Any:
    """Return what has been gathered, as plain JSON."""
    match value:
        case Text():
            return "".join(value)
        case Numbered():
            return [grown(value[index]) for index in sorted(value)]
        case dict():
            return {name: grown(item) for name, item in value.items()}
        case list():
            return [grown(item) for item in value]
        case _:
            return value


def _text(known: dict[str, Any], name: str) -> Text:
    text = known.get(name)
    if not isinstance(text, Text):
        text = known[name] = Text([text] if isinstance(text, str) else [])
    return text


def _longer(known: Any, items: list[Any]) -> list[Any] | Numbered:
    if isinstance(known, Numbered) or _is_numbered(items):
        numbered = known if isinstance(known, Numbered) else Numbered()
        for place, item in enumerate(items):
            grow(numbered.setdefault(item.pop("index", place), {}), item)
        return numbered
    return [*known, *items] if isinstance(known, list) else items


def _is_numbered(items: list[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, dict) and isinstance(item.get("index"), int) for item in items
    )
