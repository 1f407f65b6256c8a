"""What Gemini's errors mean (https://ai.google.dev/gemini-api/docs/troubleshooting)."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers import errors
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.fold import encode_body
from promptmill.workers.providers.reply import Reply, decode

_DELAY: Final = re.compile(r"(\d+(?:\.\d+)?)s")
# Told by words only: a prepaid credit or a spend cap that is used up, or billing never set up.
_SPENT: Final = re.compile(r"prepa(?:id|yment)|credits? (?:are|is) depleted|spend|enable billing")
_TOO_LONG: Final = re.compile(
    r"token count(?: \((?P<tokens>\d+)\))? exceeds the maximum number of tokens allowed"
    r" \(?(?P<most>\d+)"
)


class _Violation(msgspec.Struct, rename="camel"):
    quota_id: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    retry_delay: str | None = None
    reason: str | None = None
    violations: list[_Violation] | None = None


class _Error(msgspec.Struct):
    message: str = ""
    status: str | None = None
    details: list[_Detail] | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def fault_of(reply: Reply) -> Fault:
    """Read an error."""
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return Fault(errors.kind_of(reply.status))
    error, details = body.error, body.error.details or []
    reason = next((detail.reason for detail in details if detail.reason), None)
    quotas = [violation.quota_id for detail in details for violation in detail.violations or []]
    delays = [_DELAY.fullmatch(detail.retry_delay) for detail in details if detail.retry_delay]
    told = next((float(delay[1]) for delay in delays if delay), None)
    return Fault(
        kind=_kind(reply.status, reason, quotas, error.message),
        code=reason or next(iter(quotas), None) or error.status,
        message=error.message,
        retry_after_s=None if told is None else min(told, errors.MAX_RETRY_AFTER_S),
        too_long=errors.length_in(error.message, _TOO_LONG) if reply.status == 400 else None,
    )


def error_event(chunk: Mapping[str, Any]) -> Reply:
    """Return the error that came in a stream, under the status that it names."""
    error = chunk["error"]
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return Reply(status, {}, encode_body(chunk))


def _kind(status: int, reason: str | None, quotas: list[str], message: str) -> ErrorKind:
    if reason in {"API_KEY_INVALID", "API_KEY_EXPIRED"}:  # answered as 400
        return ErrorKind.KEY
    if status == 429 and any("PerDay" in quota for quota in quotas):
        return ErrorKind.DAILY
    if status in {400, 402, 429} and not quotas and _SPENT.search(message.lower()):
        return ErrorKind.MONEY
    return errors.kind_of(status)
