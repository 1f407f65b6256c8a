"""From what an adapter returned to the rows that SQL keeps of it."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any, Final, overload

from promptmill.schema.moves import closing
from promptmill.schema.moves.closing import Attempted, Closing, StoredResult
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage
from promptmill.workers.prices import cost_micros
from promptmill.workers.providers.base import Answer, Refusal

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_TOKENS: Final = 2**40
_UNSTORABLE_CODE: Final = "unstorable"


def attempted_of(
    reply: Answer | Refusal, *, price_list: str, model: str, latency_s: float
) -> Attempted:
    """Describe one call for `attempts`. Cost is None where price or usage is unknown."""
    usage = _plausible(reply.usage)
    cost = cost_micros(price_list, model, usage, at=datetime.now(UTC)) if usage else None
    latency_ms = round(latency_s * 1000)
    if isinstance(reply, Answer):
        return Attempted(
            AttemptOutcome.SUCCEEDED,
            http_status=200,
            request_id=clean(reply.request_id),
            latency_ms=latency_ms,
            usage=usage,
            cost_micros=cost,
            body_base64=_unclean(reply.text),
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
        body_base64=base64.b64encode(reply.raw).decode() if reply.raw else None,
    )


def unstorable(reply: Answer | Refusal, error: Exception) -> Attempted:
    """Describe a reply that *error* kept from being stored: what came, as bytes."""
    raw = _bytes(reply.text or "") if isinstance(reply, Answer) else reply.raw
    return Attempted(
        AttemptOutcome.REFUSED,
        error_kind=ErrorKind.BAD_RESPONSE,
        error_code=_UNSTORABLE_CODE,
        error_text=f"what came could not be stored: {type(error).__name__}",
        usage=_plausible(reply.usage),
        body_base64=base64.b64encode(raw).decode() if raw else None,
    )


def held_as_unstorable(refused: Closing, error: Exception) -> Closing:
    """Hold the job of an end that SQL refused with *error*: what came, as bytes, and its cost."""
    call, result = refused.attempted, refused.result
    raw = _bytes(result.text) if result and result.text else None
    held = Attempted(
        AttemptOutcome.REFUSED,
        error_kind=ErrorKind.BAD_RESPONSE,
        error_code=_UNSTORABLE_CODE,
        error_text=f"what came could not be stored: {type(error).__name__}",
        usage=_plausible(call.usage),
        cost_micros=call.cost_micros if _is_plausible_cost(call.cost_micros) else None,
        body_base64=call.body_base64 or (base64.b64encode(raw).decode() if raw else None),
    )
    return closing.hold(refused.job_id, refused.fence, held)


def is_held_as_unstorable(end: Closing) -> bool:
    """Tell whether this is such an end already."""
    return end.attempted.error_code == _UNSTORABLE_CODE


def result_of(answer: Answer) -> StoredResult:
    """Describe an answer for `results`, without what SQL cannot hold."""
    return StoredResult(
        text=clean(answer.text),
        finish_reason=clean(answer.finish_reason),
        tool_calls=_tool_calls(answer.tool_calls),
        response_model=clean(answer.response_model),
        response_id=clean(answer.response_id),
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


def _unclean(text: str | None) -> str | None:
    """Keep the text as it came, where cleaning changes it."""
    if text is None or clean(text) == text:
        return None
    return base64.b64encode(_bytes(text)).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _tool_calls(calls: tuple[Mapping[str, Any], ...]) -> str | None:
    # Not by msgspec, which refuses a lone surrogate.
    return clean(json.dumps(calls, ensure_ascii=False)) if calls else None


def _plausible(usage: Usage | None) -> Usage | None:
    """Take numbers that no bill can hold for unknown."""
    if usage is None or all(0 <= count < _MOST_TOKENS for count in astuple(usage)):
        return usage
    return None


def _is_plausible_cost(micros: object) -> bool:
    return isinstance(micros, int) and 0 <= micros < 2**62


def _outcome(refusal: Refusal) -> AttemptOutcome:
    if refusal.kind is ErrorKind.UNKNOWN:
        return AttemptOutcome.UNKNOWN
    if refusal.kind is ErrorKind.TRANSIENT and refusal.http_status is None:
        return AttemptOutcome.NOT_SENT
    return AttemptOutcome.REFUSED
