"""OpenAI's moderations (https://platform.openai.com/docs/api-reference/moderations)."""

from typing import Any, Final

import msgspec

from promptmill.workers.providers.base import Answer
from promptmill.workers.providers.operation import (
    COMPLETED,
    Envelope,
    Operation,
    Unusable,
    native_body,
)
from promptmill.workers.providers.reply import Reply, decode


class _Moderation(msgspec.Struct):
    results: list[dict[str, Any]]
    id: str | None = None
    model: str | None = None


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    moderation = decode(reply.body, _Moderation)
    if moderation is None or not moderation.results:
        return Unusable("no results")
    return Answer(
        text=None,
        finish_reason=COMPLETED,
        usage=None,
        response_model=moderation.model,
        response_id=moderation.id,
        request_id=envelope.request_id,
        limits=envelope.limits,
    )


MODERATIONS: Final = Operation("/moderations", native_body, _read, lambda _: None)
