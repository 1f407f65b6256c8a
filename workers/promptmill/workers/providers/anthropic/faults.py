"""What Anthropic's errors mean (https://docs.claude.com/en/api/errors)."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers import errors
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.fold import encode_body
from promptmill.workers.providers.reply import Reply, decode

_BY_CODE: Final = {
    "ramp_limit_exceeded": ErrorKind.RATE,
    "enforced_spend_limit_reached": ErrorKind.MONEY,
    "contract_spend_limit_reached": ErrorKind.MONEY,
    "linked_organization_spend_limit_reached": ErrorKind.MONEY,
    "linked_organization_billing_unavailable": ErrorKind.MONEY,
    "organization_on_hold": ErrorKind.KEY,
}
_BY_TYPE: Final = {
    "billing_error": ErrorKind.MONEY,
    "authentication_error": ErrorKind.KEY,
    "permission_error": ErrorKind.KEY,
    "overloaded_error": ErrorKind.OVERLOADED,
}
_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What errors are answered with that come in a stream, by their types."""
# A limit that the customer set, answered as 400 without a code: the one case told by its words.
_SPENT: Final = "You have reached your specified API usage limits"
# So is what a filter blocked.
_BLOCKED: Final = "content filtering policy"

_TOO_LONG: Final = (
    re.compile(r"too long: (?P<tokens>\d+) tokens > (?P<most>\d+) maximum"),
    re.compile(r"exceed context limit: (?P<tokens>\d+) \+ \d+ > (?P<most>\d+)"),
)


class _Details(msgspec.Struct):
    error_code: str | None = None


class _Error(msgspec.Struct):
    type: str
    message: str = ""
    details: _Details | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def fault_of(reply: Reply) -> Fault:
    """Read an error."""
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return Fault(errors.kind_of(reply.status))
    error = body.error
    code = error.details.error_code if error.details else None
    kind = _kind(reply.status, code, error)
    return Fault(
        kind,
        code or error.type,
        error.message,
        too_long=errors.length_in(error.message, *_TOO_LONG) if reply.status == 400 else None,
        blocked=kind is ErrorKind.REQUEST and _BLOCKED in error.message,
    )


def error_event(event: Mapping[str, Any]) -> Reply:
    """Return the error that came in a stream, under the status of its like."""
    body = encode_body(event)
    said = decode(body, _ErrorBody)
    return Reply(_STATUS.get(said.error.type, 500) if said else 500, {}, body)


def _kind(status: int, code: str | None, error: _Error) -> ErrorKind:
    if known := _BY_CODE.get(code or "") or _BY_TYPE.get(error.type):
        return known
    if status == 400 and error.message.startswith(_SPENT):
        return ErrorKind.MONEY
    if status == 429 and errors.is_daily(error.message):
        return ErrorKind.DAILY
    return errors.kind_of(status)
