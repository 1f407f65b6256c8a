"""The two shapes of a stored request.

    {"messages": [...], "temperature": 0}                    a chat-completions body: our one shape
    {"native": {"contents": [...]}}                          the provider's own, sent as it is
    {"endpoint": "embeddings", "native": {"input": "..."}}   the same, not of a chat

None holds the model, which is a column of the job. Each may hold `"stream": true`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

NATIVE = "native"
ENDPOINT = "endpoint"
STREAM = "stream"
FILE_BYTES = 10_000_000
"""of the files in one prompt, where the settings say nothing else"""
_BYTES = frozenset({"data", "file_data", "fileData"})
"""Fields of images and documents: their base64 is not billed by its length."""


class Endpoint(StrEnum):
    """What is asked of a provider. Each provider says it in its own words."""

    CHAT = "chat"
    """chat completions, messages, generateContent"""
    RESPONSES = "responses"
    """OpenAI's responses"""
    EMBEDDINGS = "embeddings"
    """embeddings, embedContent"""
    IMAGES = "images"
    """OpenAI's image generations"""
    MODERATIONS = "moderations"
    """OpenAI's moderations"""


def endpoint_of(body: Mapping[str, Any]) -> Endpoint:
    """Tell what a stored request asks for."""
    named = body.get(ENDPOINT)
    return Endpoint.CHAT if named is None or NATIVE not in body else Endpoint(named)


def native_request(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Make the stored request of a provider's own *body*."""
    named = {} if endpoint is Endpoint.CHAT else {ENDPOINT: endpoint.value}
    return {**named, NATIVE: body}


def native_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the provider's own body that *body* carries, or None where it is in our shape."""
    native = body.get(NATIVE)
    return native if isinstance(native, dict) else None


def is_streamed(body: Mapping[str, Any]) -> bool:
    """Tell whether the answer to *body* was asked for as a stream."""
    return body.get(STREAM) is True


def is_background(body: Mapping[str, Any]) -> bool:
    """Tell whether OpenAI is to make the response to *body* while nobody is connected."""
    native = native_of(body)
    return native is not None and native.get("background") is True


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts in a body, or a part of one, without what stands for bytes."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif isinstance(value, Mapping):
        for field, item in value.items():
            if field not in _BYTES:
                yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def media_parts(body: Mapping[str, Any]) -> int:
    """Count the parts of a body in our shape that are no text."""
    return sum(
        isinstance(part, Mapping) and part.get("type") not in {"text", "refusal"}
        for message in body.get("messages") or ()
        if isinstance(message, Mapping) and isinstance(message.get("content"), list)
        for part in message["content"]
    )


def turns_of(native: Mapping[str, Any]) -> int:
    """Count the messages of a provider's own body."""
    said = native.get("messages") or native.get("contents") or native.get("input") or ()
    return 1 if isinstance(said, str) else len(said)


def subject_of(native: Mapping[str, Any]) -> Any:
    """Return what a request that is no chat is about: what is embedded, moderated or drawn."""
    return native.get("input") or native.get("content") or native.get("prompt")


def inputs_of(body: Mapping[str, Any]) -> int:
    """Count the texts that a stored request has embedded: tokens of one are numbers in a list."""
    if endpoint_of(body) is not Endpoint.EMBEDDINGS:
        return 0
    given = (native_of(body) or {}).get("input")
    if not isinstance(given, list) or any(isinstance(one, int) for one in given):
        return 1
    return len(given)


def native_most_output(native: Mapping[str, Any]) -> Any:
    """Return the most tokens that a provider's own body allows for the answer, or None."""
    config = native.get("generationConfig") or native.get("generation_config") or {}
    return (
        native.get("max_tokens")
        or native.get("max_output_tokens")
        or config.get("maxOutputTokens")
        or config.get("max_output_tokens")
    )
