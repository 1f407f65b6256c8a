"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import Usage
from promptmill.schema.requests import Endpoint, native_request
from promptmill.workers.providers.base import Answer
from promptmill.workers.providers.embedding import Embedding
from promptmill.workers.providers.operation import (
    COMPLETED,
    Envelope,
    Operation,
    Unusable,
    native_body,
)
from promptmill.workers.providers.reply import Reply, decode


class _Item(msgspec.Struct):
    embedding: Any


class _Embeddings(msgspec.Struct):
    data: list[_Item]
    model: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int


class _UsageOnly(msgspec.Struct):
    usage: _Usage | None = None


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    embeddings = decode(reply.body, _Embeddings)
    if embeddings is None or not embeddings.data:
        return Unusable("no embeddings")
    return Answer(
        text=None,
        finish_reason=COMPLETED,
        usage=_usage(reply),
        response_model=embeddings.model,
        request_id=envelope.request_id,
        limits=envelope.limits,
    )


def _usage(reply: Reply) -> Usage | None:
    body = decode(reply.body, _UsageOnly)
    if body is None or body.usage is None:
        return None
    return Usage(input_tokens=body.usage.prompt_tokens, output_tokens=0)


def _texts(texts: Sequence[str]) -> dict[str, Any]:
    return native_request({"input": list(texts)}, Endpoint.EMBEDDINGS)


# 8,192 tokens a text, and 300,000 in all texts of a request, by the page above.
EMBEDDING: Final = Embedding(texts=32, calls=4, longest=7500, body=_texts)
EMBEDDINGS: Final = Operation("/embeddings", native_body, _read, _usage)
