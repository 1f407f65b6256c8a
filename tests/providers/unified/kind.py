"""A request in our one shape, and what each provider is to be told: or not."""

from dataclasses import dataclass
from typing import Any, Final

TALK: Final[list[dict[str, Any]]] = [{"role": "user", "content": "Where is Bern?"}]
SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is sent, and the error names this."""

    field: str


Told = dict[str, Any] | Refused
"""The fields of the request, as far as they matter here."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and what becomes of it."""

    name: str
    body: dict[str, Any]
    anthropic: Told
    gemini: Told
    legacy: Told | None = None
    """of the former SDK, where it is not what `gemini` says"""
    model: str = "m-1"
    is_openais: bool = True
    """whether OpenAI's own types know it; else it is an extension that other servers take"""
