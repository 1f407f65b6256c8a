"""From what an adapter returned to the rows that SQL keeps of it."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, overload

from promptmill.schema.moves.endings import Attempted, StoredResult
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage
from promptmill.schema.prices import PriceList
from promptmill.schema.truncation import Cut
from promptmill.workers.providers.base import Answer, Refusal, charged
from promptmill.workers.unstorable import plausible, raw_bytes

NOT_SENT: Final = Attempted(AttemptOutcome.NOT_SENT)
"""nothing was sent: what was booked and claimed for the call is given back"""
STOPPED: Final = Refusal(
    ErrorKind.UNKNOWN, "the worker was told to stop at once", code="worker_stopped"
)
"""what comes of a call that its worker ends"""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def attempted_of(
    reply: Answer | Refusal,
    *,
    price_list: PriceList,
    model: str,
    latency_s: float,
    cut: Cut | None = None,
) -> Attempted:
    """Describe one call for `attempts`. Cost is None where price or usage is unknown."""
    usage, cost = _bill(reply, price_list, model)
    latency_ms, first_token_ms = round(latency_s * 1000), _first_token_ms(reply)
    if isinstance(reply, Answer):
        return Attempted(
            AttemptOutcome.SUCCEEDED,
            http_status=200,
            request_id=clean(reply.request_id),
            latency_ms=latency_ms,
            usage=usage,
            cost_micros=cost,
            first_token_ms=first_token_ms,
            body_base64=_unclean(reply.text),
            cut=cut,
        )
    return Attempted(
        _outcome(reply),
        http_status=reply.http_status,
        error_kind=reply.kind,
        error_code=clean(reply.code),
        error_text=clean(reply.message),
        request_id=clean(reply.request_id),
        latency_ms=latency_ms,
        usage=usage,
        cost_micros=cost,
        first_token_ms=first_token_ms,
        body_base64=base64.b64encode(reply.raw).decode() if reply.raw else None,
        cut=cut,
    )


def unstorable(
    reply: Answer | Refusal,
    error: Exception,
    *,
    price_list: PriceList,
    model: str,
    latency_s: float,
) -> Attempted:
    """Describe a reply that *error* kept from being stored: what came, as bytes, and its cost."""
    usage, cost = _bill(reply, price_list, model)
    raw = raw_bytes(reply.text or "") if isinstance(reply, Answer) else reply.raw
    return Attempted(
        AttemptOutcome.REFUSED,
        error_kind=ErrorKind.BAD_RESPONSE,
        error_code="unstorable",
        error_text=f"what came could not be stored: {type(error).__name__}",
        latency_ms=round(latency_s * 1000),
        usage=usage,
        cost_micros=cost,
        first_token_ms=_first_token_ms(reply),
        body_base64=base64.b64encode(raw).decode() if raw else None,
    )


def result_of(answer: Answer) -> StoredResult:
    """Describe an answer for `results`, without what SQL cannot hold."""
    return StoredResult(
        text=clean(answer.text),
        finish_reason=clean(answer.finish_reason),
        tool_calls=_tool_calls(answer.tool_calls),
        response_model=clean(answer.response_model),
        response_id=clean(answer.response_id),
        endpoint=answer.endpoint,
        body=None if answer.body is None else _json(answer.body),
        validity=answer.checked.validity if answer.checked else None,
        problem=clean(answer.checked.problem) if answer.checked else None,
    )


@overload
def clean(text: str) -> str: ...
@overload
def clean(text: str | None) -> str | None: ...
def clean(text: str | None) -> str | None:
    """Replace NUL (PostgreSQL refuses it) and lone surrogates (both refuse them) by U+FFFD."""
    if text is None:
        return None
    return _UNSTORABLE.sub("\ufffd", text)


def _bill(
    reply: Answer | Refusal, prices: PriceList, model: str
) -> tuple[Usage | None, int | None]:
    usage, whole = plausible(reply.usage), charged(reply)
    cost = prices.cost_micros(model, usage, at=datetime.now(UTC)) if usage and whole else None
    return usage, cost


def _first_token_ms(reply: Answer | Refusal) -> int | None:
    return None if reply.first_token_s is None else round(reply.first_token_s * 1000)


def _unclean(text: str | None) -> str | None:
    """Keep the text as it came, where cleaning changes it."""
    if text is None or clean(text) == text:
        return None
    return base64.b64encode(raw_bytes(text)).decode()


def _tool_calls(calls: tuple[Mapping[str, Any], ...]) -> str | None:
    # Not by msgspec, which refuses a lone surrogate.
    return clean(json.dumps(calls, ensure_ascii=False)) if calls else None


def _json(body: bytes) -> str:
    """Read the bytes of JSON as text; what is not UTF-8 is written anew."""
    try:
        return body.decode().lstrip("\ufeff")
    except UnicodeDecodeError:
        return clean(json.dumps(json.loads(body)))


def _outcome(refusal: Refusal) -> AttemptOutcome:
    if refusal.kind is ErrorKind.UNKNOWN:
        return AttemptOutcome.UNKNOWN
    if refusal.kind is ErrorKind.TRANSIENT and refusal.http_status is None:
        return AttemptOutcome.NOT_SENT
    return AttemptOutcome.REFUSED
