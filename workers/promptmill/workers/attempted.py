"""From what an adapter returned to the rows that SQL keeps of it."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from promptmill.schema.moves.closing import Attempted, StoredResult
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.workers.prices import cost_micros
from promptmill.workers.providers.base import Answer, Refusal

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def attempted_of(
    reply: Answer | Refusal, *, price_list: str, model: str, latency_s: float
) -> Attempted:
    """Describe one call for `attempts`. Cost is None where price or usage is unknown."""
    cost = _cost(price_list, model, reply)
    latency_ms = round(latency_s * 1000)
    if isinstance(reply, Answer):
        return Attempted(
            AttemptOutcome.SUCCEEDED,
            http_status=200,
            request_id=reply.request_id,
            latency_ms=latency_ms,
            usage=reply.usage,
            cost_micros=cost,
            body_base64=_unclean(reply.text),
        )
    return Attempted(
        _outcome(reply),
        http_status=reply.http_status,
        error_kind=reply.kind,
        error_code=reply.code,
        error_text=reply.message,
        request_id=reply.request_id,
        latency_ms=latency_ms,
        usage=reply.usage,
        cost_micros=cost,
        body_base64=base64.b64encode(reply.raw).decode() if reply.raw else None,
    )


def _cost(price_list: str, model: str, reply: Answer | Refusal) -> int | None:
    if reply.usage is None:
        return None
    return cost_micros(price_list, model, reply.usage, at=datetime.now(UTC))


def result_of(answer: Answer) -> StoredResult:
    """Describe an answer for `results`, without what SQL cannot hold."""
    return StoredResult(
        text=clean(answer.text),
        finish_reason=answer.finish_reason,
        tool_calls=_tool_calls(answer.tool_calls),
        response_model=answer.response_model,
        response_id=answer.response_id,
    )


def clean(text: str | None) -> str | None:
    """Replace NUL (PostgreSQL refuses it) and lone surrogates (both refuse them) by U+FFFD."""
    if text is None:
        return None
    return _UNSTORABLE.sub("\ufffd", text)


def _unclean(text: str | None) -> str | None:
    """Keep the text as it came, where cleaning changes it."""
    if text is None or clean(text) == text:
        return None
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _tool_calls(calls: tuple[Mapping[str, Any], ...]) -> str | None:
    return clean(msgspec.json.encode(calls).decode()) if calls else None


def _outcome(refusal: Refusal) -> AttemptOutcome:
    if refusal.kind is ErrorKind.UNKNOWN:
        return AttemptOutcome.UNKNOWN
    if refusal.kind is ErrorKind.TRANSIENT and refusal.http_status is None:
        return AttemptOutcome.NOT_SENT
    return AttemptOutcome.REFUSED
