"""What OpenAI's errors mean (https://platform.openai.com/docs/guides/error-codes)."""

import re
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Length
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.fold import encode_body
from promptmill.workers.providers.reply import Reply, decode

_MONEY: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
_STATUS: Final = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "tokens": 429,
    "requests": 429,
    "slow_down": 503,
    "server_is_overloaded": 503,
    "service_unavailable_error": 503,
    "vector_store_timeout": 504,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
}
"""What errors are answered with that come with a 200, by code or type; else it is 500."""
_OF_THE_REQUEST: Final = re.compile(
    r"invalid_(prompt|image|base64)|.*image|bio_policy|misalignment_|data_residency_mismatch"
)
"""Codes of responses that failed by their request: ResponseError in OpenAI's API description."""
_TOO_LONG: Final = (
    # Of what was requested, the answer is a part.
    re.compile(
        r"context length is (?P<most>\d+) tokens.*requested \d+ tokens \((?P<tokens>\d+) in the"
    ),
    re.compile(
        r"(?:context length is|limit of) (?P<most>\d+) tokens(?:.*resulted in (?P<tokens>\d+))?"
    ),
)
_CONTEXT_LENGTH: Final = "context_length_exceeded"
_BLOCKED: Final = frozenset(
    {"content_policy_violation", "content_filter", "moderation_blocked", "invalid_prompt"}
    | {"bio_policy"}
)
# Answered as a rate limit, without Retry-After: the request is larger than the limit itself.
_NEVER_FITS: Final = "Request too large"


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def fault_of(reply: Reply) -> Fault:
    """Read an error."""
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return Fault(errors.kind_of(reply.status))
    code = str(body.error.code or body.error.type or "") or None
    message = body.error.message or ""
    kind = _kind(reply.status, {code, body.error.type}, message)
    too_long = errors.length_in(message, *_TOO_LONG) if kind is ErrorKind.REQUEST else None
    if code == _CONTEXT_LENGTH and too_long is None:
        too_long = Length()
    blocked = kind is ErrorKind.REQUEST and code in _BLOCKED
    return Fault(kind, code, message, too_long=too_long, blocked=blocked)


def error_inside(reply: Reply) -> Reply | None:
    """Return the error that came with a 200, under the status that it stands for.

    Gateways answer so, streams, and OpenAI's responses that failed.
    """
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return None
    code = body.error.code
    if isinstance(code, int) and 400 <= code < 600:
        return Reply(code, reply.headers, reply.body)
    if _OF_THE_REQUEST.match(str(code)):
        return Reply(400, reply.headers, reply.body)
    status = _STATUS.get(str(code)) or _STATUS.get(body.error.type or "") or 500
    return Reply(status, reply.headers, reply.body)


def error_event(error: Any) -> Reply:
    """Return the *error* that came in a stream, under the status of its like."""
    said = error if isinstance(error, dict) else {"message": str(error)}
    whole = Reply(200, {}, encode_body({"error": said}))
    return error_inside(whole) or Reply(500, {}, whole.body)


def _kind(status: int, codes: set[str | None], message: str) -> ErrorKind:
    if codes & _MONEY:
        return ErrorKind.MONEY
    if status in (429, 503) and "slow_down" in codes:
        return ErrorKind.RATE
    if status == 429 and message.startswith(_NEVER_FITS):
        return ErrorKind.REQUEST
    if status == 429 and errors.is_daily(message):
        return ErrorKind.DAILY
    return errors.kind_of(status)
