"""What is kept of an answer that SQL refuses: the job is held for a person, with what came."""

import base64
from typing import Final

from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted, Closing
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind, Usage

_CODE: Final = "unstorable"
_MOST_TOKENS: Final = 2**40
_MOST_MICROS: Final = 2**62


def hold(refused: Closing, error: Exception) -> Closing:
    """Hold the job of an end that SQL refused with *error*; its cost stays booked."""
    call, result = refused.attempted, refused.result
    came = (result.text, result.tool_calls, result.body) if result else ()
    raw = raw_bytes("\n".join(part for part in came if part))
    cost = call.cost_micros
    held = Attempted(
        AttemptOutcome.REFUSED,
        error_kind=ErrorKind.BAD_RESPONSE,
        error_code=_CODE,
        error_text=f"what came could not be stored: {type(error).__name__}",
        usage=plausible(call.usage),
        cost_micros=cost if isinstance(cost, int) and 0 <= cost < _MOST_MICROS else None,
        body_base64=call.body_base64 or base64.b64encode(raw).decode() or None,
    )
    return endings.hold(refused.job_id, refused.fence, held)


def is_held(end: Closing) -> bool:
    """Tell whether *end* holds its job for this reason already."""
    return end.attempted.error_code == _CODE


def plausible(usage: Usage | None) -> Usage | None:
    """Take numbers that no bill can hold for unknown."""
    if usage is None or all(0 <= count < _MOST_TOKENS for count in usage.counts):
        return usage
    return None


def raw_bytes(text: str) -> bytes:
    """Return what came, half pairs of surrogates too."""
    return text.encode("utf-8", "surrogatepass")
