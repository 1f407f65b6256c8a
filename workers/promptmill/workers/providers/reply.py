"""What came back over HTTP, the same for every SDK, and how it is decoded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP response."""

    status: int
    headers: Mapping[str, str]
    """Looked up by lower-case names."""
    body: bytes


def decode(body: bytes, shape: type[T]) -> T | None:
    r"""Decode JSON into *shape*, or return None where it does not fit.

    A lone surrogate (`"\ud83d"`) is refused by msgspec and not by the standard library. Answers
    cut in the middle of an emoji have them, and they are paid for: they are read the slow way.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(json.loads(body), type=shape)
    except (ValueError, RecursionError):
        return None


def limits_told(headers: Mapping[str, str], names: Mapping[str, str]) -> dict[str, float]:
    """Read published ceilings from *headers*; *names* maps a header to our name of the limit.

    Numbers may have thousands commas. What is not a positive number is left out.
    """
    told: dict[str, float] = {}
    for header, name in names.items():
        digits = headers.get(header, "").replace(",", "")
        if digits.isascii() and digits.isdigit() and int(digits) > 0:
            told[name] = float(digits)
    return told


def tool_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """Write a call of a tool as OpenAI does, whoever asked for it."""
    written = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": written}}
