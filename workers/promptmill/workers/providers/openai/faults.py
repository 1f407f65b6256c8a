"""What OpenAI's errors mean (https://platform.openai.com/docs/guides/error-codes)."""

from typing import Final

import msgspec

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers import errors
from promptmill.workers.providers.errors import Fault
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
    return Fault(_kind(reply.status, {code, body.error.type}, message), code, message)


def error_inside(reply: Reply) -> Reply | None:
    """Return the error that some gateways answer with a 200, under the status that it names."""
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return None
    code = body.error.code
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return Reply(status, reply.headers, reply.body)


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
