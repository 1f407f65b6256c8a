"""What every kind of native request is, and what the contract wants to see of its answer."""

from dataclasses import dataclass
from typing import Any

from promptmill.schema.requests import Endpoint

UNKNOWN = {"new_tomorrow": {"a": [1.5, None]}}
"""A field that nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A native request at one adapter."""

    adapter: str
    endpoint: Endpoint
    model: str
    native: dict[str, Any]
    path: str
    """where it goes"""
    has_text: bool = False
    has_usage: bool = True
    knows_all: bool = True
    """whether fields that nobody knows yet go out"""

    @property
    def name(self) -> str:
        return f"{self.adapter}-{self.endpoint}"

    @property
    def body(self) -> dict[str, Any]:
        """The stored request."""
        chat = self.endpoint is Endpoint.CHAT
        return {"native": self.native} | ({} if chat else {"endpoint": self.endpoint.value})


_USER = {"role": "user", "content": "One and two"}
_PARTS = {"parts": [{"text": "One and two"}]}
_CLAUDE = {"max_tokens": 9, "messages": [_USER], "thinking": {"type": "disabled"}}
_GENERATE = {"contents": [{"role": "user", **_PARTS}]}
_EMBED = {"content": _PARTS, "outputDimensionality": 8}
_OF_GEMINI = "/v1beta/models/{model}:"

KINDS = (
    Kind(
        "openai", Endpoint.RESPONSES, "gpt-5-mini", {"input": "One"}, "/v1/responses", has_text=True
    ),
    Kind(
        "openai",
        Endpoint.EMBEDDINGS,
        "text-embedding-3-small",
        {"input": ["One", "two"], "dimensions": 8},
        "/v1/embeddings",
    ),
    Kind("openai", Endpoint.IMAGES, "gpt-image-1", {"prompt": "A mill"}, "/v1/images/generations"),
    Kind(
        "openai",
        Endpoint.MODERATIONS,
        "omni-moderation-latest",
        {"input": "no harm meant"},
        "/v1/moderations",
        has_usage=False,
    ),
    Kind("anthropic", Endpoint.CHAT, "claude-sonnet-5", _CLAUDE, "/v1/messages", has_text=True),
    Kind(
        "gemini",
        Endpoint.CHAT,
        "gemini-2.5-flash",
        _GENERATE,
        _OF_GEMINI + "generateContent",
        has_text=True,
    ),
    Kind(
        "gemini", Endpoint.EMBEDDINGS, "gemini-embedding-001", _EMBED, _OF_GEMINI + "embedContent"
    ),
    Kind(
        "gemini-legacy",
        Endpoint.CHAT,
        "gemini-2.5-flash",
        _GENERATE,
        _OF_GEMINI + "generateContent",
        has_text=True,
        knows_all=False,
    ),
    Kind(
        "gemini-legacy",
        Endpoint.EMBEDDINGS,
        "gemini-embedding-001",
        _EMBED,
        _OF_GEMINI + "embedContent",
        knows_all=False,
    ),
)
