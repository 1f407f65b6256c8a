"""The one table of errors: what each answer of a provider means (docs/errors.md tells it too).

A provider's file adds its own codes to it and nothing else. No exception of an SDK and no text
that could hold a key or a prompt comes out of here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isnan

from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.texts import strings_in
from promptmill.workers.providers.base import Call, Length, Refusal
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.operation import Blocked, Unusable
from promptmill.workers.providers.reply import Reply
from promptmill.workers.redact import LONGEST_COAT, redact, redact_bytes, safe_message

MAX_RETRY_AFTER_S = 24 * 3600.0
MAX_RAW = 64 * 1024
_CODE = re.compile(r"[\w.\[\]/-]{1,80}")
_PER_DAY = re.compile(r"\bper day\b|\((?:RPD|TPD)\)")
_BY_STATUS = {
    401: ErrorKind.KEY,
    402: ErrorKind.MONEY,
    403: ErrorKind.KEY,
    407: ErrorKind.TRANSIENT,  # of a proxy: no provider was reached
    408: ErrorKind.TRANSIENT,
    409: ErrorKind.TRANSIENT,
    425: ErrorKind.TRANSIENT,
    429: ErrorKind.RATE,
    503: ErrorKind.OVERLOADED,
    529: ErrorKind.OVERLOADED,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What a provider's error body says, read by that provider's file."""

    kind: ErrorKind
    code: str | None = None
    message: str = ""
    retry_after_s: float | None = None
    """From the body; the headers come first."""
    too_long: Length | None = None
    blocked: bool = False
    """By a content filter."""


def kind_of(status: int) -> ErrorKind:
    """Name what an HTTP status means where the body tells nothing more."""
    if known := _BY_STATUS.get(status):
        return known
    return ErrorKind.TRANSIENT if status >= 500 else ErrorKind.REQUEST


def is_daily(message: str) -> bool:
    """Tell a daily quota from a rate limit where only the words of a 429 do."""
    return _PER_DAY.search(message) is not None


def refused(
    provider: str,
    reply: Reply,
    fault: Fault,
    *,
    call: Call,
    secrets: Iterable[str],
    request_id: str | None,
    limits: Mapping[str, float],
) -> Refusal:
    """Build the refusal for an error that *provider* answered."""
    secrets = tuple(secrets)
    code = fault.code if fault.code and _CODE.fullmatch(fault.code) else None
    said = safe_message(fault.message, secrets=secrets, prompt=strings_in(call.body))
    words = f"{provider} answered {reply.status}" + (f" {code}" if code else "")
    told = retry_after_s(reply.headers)
    return Refusal(
        kind=fault.kind,
        message=redact(f"{words}: {said}" if said else words, secrets=secrets),
        http_status=reply.status,
        code=redact(code, secrets=secrets) if code else None,
        retry_after_s=told if told is not None else fault.retry_after_s,
        request_id=request_id,
        limits=limits,
        too_long=fault.too_long,
        blocked=fault.blocked,
    )


def length_in(message: str, *patterns: re.Pattern[str]) -> Length | None:
    """Read how long a request is and may be by the first pattern found, by its groups' names."""
    for pattern in patterns:
        if found := pattern.search(message):
            told = {name: int(digits) for name, digits in found.groupdict().items() if digits}
            return Length(told.get("tokens"), told.get("most"))
    return None


def lost(provider: str, loss: Lost) -> Refusal:
    """Build the refusal for a call that got no complete answer."""
    if loss.sent:
        message = f"sent to {provider}, and no complete answer came ({loss.why})"
        return Refusal(kind=ErrorKind.UNKNOWN, message=message)
    message = f"no connection to {provider}, nothing was sent ({loss.why})"
    return Refusal(kind=ErrorKind.TRANSIENT, message=message)


def unsendable(provider: str, verdict: UnsendableError) -> Refusal:
    """Build the refusal for a request that was never sent."""
    message = f"{verdict.field}: {verdict.problem}; nothing was sent to {provider}"
    return Refusal(kind=ErrorKind.REQUEST, message=message, code="unsendable")


def unanswered(
    provider: str,
    reply: Reply,
    read: Unusable | Blocked,
    *,
    secrets: Iterable[str],
    usage: Usage | None,
    request_id: str | None,
) -> Refusal:
    """Build the refusal for a complete answer that is none: blocked, or of no use."""
    if isinstance(read, Blocked):
        return Refusal(
            kind=ErrorKind.REQUEST,
            message=f"{provider} blocked the prompt",
            http_status=reply.status,
            code=read.code[:80],
            request_id=request_id,
            usage=usage,
            blocked=True,
        )
    return Refusal(
        kind=ErrorKind.BAD_RESPONSE,
        message=f"{provider} answered {reply.status} with {read.problem}",
        http_status=reply.status,
        request_id=request_id,
        usage=usage,
        raw=keep(reply.body, secrets=tuple(secrets)),
    )


def keep(body: bytes, *, secrets: tuple[str, ...]) -> bytes:
    """Cut what came to what is kept of it, without the keys."""
    # A key that the cut would leave half of is seen whole.
    seen = body[: MAX_RAW + LONGEST_COAT * max(map(len, secrets), default=0)]
    return redact_bytes(seen, secrets=secrets)[:MAX_RAW]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait: `retry-after-ms`, then `retry-after` (seconds or a date).

    None where nothing usable is told; never more than a day, whatever is told. A date is compared
    with the same answer's `date`, so that our own clock does not matter.
    """
    if milliseconds := _seconds(headers.get("retry-after-ms")):
        return min(milliseconds / 1000, MAX_RETRY_AFTER_S)
    told = headers.get("retry-after")
    seconds = _seconds(told)
    if seconds is None and told:
        seconds = _seconds_between(headers.get("date"), told)
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_S)


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return None if isnan(value) or value < 0 else value


def _seconds_between(start: str | None, end: str) -> float | None:
    try:
        seconds = (parsedate_to_datetime(end) - parsedate_to_datetime(start or "")).total_seconds()
    except (ValueError, TypeError):  # not dates, or one of them without a zone
        return None
    return max(seconds, 0.0)
