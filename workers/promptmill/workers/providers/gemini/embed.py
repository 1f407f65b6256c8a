"""Gemini's embedContent (https://ai.google.dev/api/embeddings)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import Usage
from promptmill.schema.requests import Endpoint, native_request
from promptmill.workers.providers.base import Answer, Call
from promptmill.workers.providers.embedding import Embedding
from promptmill.workers.providers.operation import (
    COMPLETED,
    Envelope,
    Operation,
    Unusable,
    native_body,
)
from promptmill.workers.providers.reply import Reply, decode


class _Embedding(msgspec.Struct):
    values: list[Any]


class _Embedded(msgspec.Struct):
    embedding: _Embedding


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _UsageOnly(msgspec.Struct, rename="camel"):
    usage_metadata: _Usage | None = None


def _body(call: Call) -> dict[str, Any]:
    body = native_body(call)
    del body["model"]  # it is in the address
    return body


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    embedded = decode(reply.body, _Embedded)
    if embedded is None or not embedded.embedding.values:
        return Unusable("no embedding")
    return Answer(
        text=None,
        finish_reason=COMPLETED,
        usage=_usage(reply),
        request_id=envelope.request_id,
    )


def _usage(reply: Reply) -> Usage | None:
    body = decode(reply.body, _UsageOnly)
    told = body.usage_metadata if body else None
    if told is None or told.prompt_token_count is None:
        return None
    return Usage(input_tokens=told.prompt_token_count, output_tokens=0)


def _texts(texts: Sequence[str]) -> dict[str, Any]:
    (text,) = texts
    return native_request({"content": {"parts": [{"text": text}]}}, Endpoint.EMBEDDINGS)


# Of a longer text than 2,048 tokens Gemini reads the beginning and does not say so
# (https://ai.google.dev/gemini-api/docs/embeddings): two with the same one would be equal.
EMBEDDING: Final = Embedding(texts=1, calls=32, longest=1500, body=_texts)
EMBED: Final = Operation("embedContent", _body, _read, _usage)
