"""Whether a job goes to another model after its call, by the fallbacks of its batch: pure."""

from typing import Final, assert_never

from promptmill.schema.fallbacks import Fallback, When, next_for, read_rules
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.workers.decide import Failed, Held, Outcome, Retry, Snoozed, Stopped, Succeeded
from promptmill.workers.providers.base import Answer, Refusal

TOO_LONG: Final = frozenset({"too_long", "larger_than_limit"})
"""Codes of prompts that are not sent, since their model or its limits would not take them."""
DOWN: Final = frozenset({ErrorKind.OVERLOADED, ErrorKind.TRANSIENT})
"""Refusals that make an outage, if nobody is answered."""
_FILTERED: Final = frozenset(
    {"content_filter", "refusal"}  # of OpenAI and Anthropic
    | {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "IMAGE_SAFETY"}
)
"""Finish reasons of answers that a content filter has cut, or that say no."""


def fallback_for(job: DueJob, when: When) -> Fallback | None:
    """Tell where *job* goes for this reason; None: nowhere."""
    if job.fallbacks is None:
        return None
    rules = read_rules(job.fallbacks)
    return next_for(rules, asked=job.fell_back_from or job.now, now=job.now, when=when)


def unless_filtered(reply: Answer | Refusal, job: DueJob) -> Answer | Refusal:
    """Refuse an answer that is none by a content filter, where another model is asked instead."""
    if job.fallbacks is None or not isinstance(reply, Answer):
        return reply
    if reply.finish_reason not in _FILTERED or fallback_for(job, When.POLICY) is None:
        return reply
    return Refusal(
        kind=ErrorKind.REQUEST,
        message=f"the answer ended by {reply.finish_reason}",
        http_status=200,
        code=reply.finish_reason,
        request_id=reply.request_id,
        usage=reply.usage,
        limits=reply.limits,
        first_token_s=reply.first_token_s,
        blocked=True,
    )


def fallback_after(
    outcome: Outcome, job: DueJob, *, outage_s: float | None, after_s: float
) -> Fallback | None:
    """Tell where *job* goes after *outcome*; None: nowhere else.

    *outage_s*: for how long its provider has answered nobody; None: it does. A pause or an outage
    counts from *after_s* on. Of a pool's member it sends the job to the others only: the dispatcher
    knows when there are none.
    """
    is_out = outage_s is not None and outage_s >= after_s
    when = _when(outcome, is_out=is_out, after_s=after_s)
    if when is None or (when is When.PAUSED and job.pool is not None):
        return None
    return fallback_for(job, when)


def _when(outcome: Outcome, *, is_out: bool, after_s: float) -> When | None:
    match outcome:
        case Stopped():
            return When.PAUSED
        case Snoozed() if outcome.for_the_day:
            return When.PAUSED if outcome.pause_s >= after_s else None
        case Snoozed(refusal=refusal) | Retry(refusal=refusal):
            return When.PAUSED if is_out and refusal.kind in DOWN else None
        case Failed(refusal=refusal):
            return _for_good(refusal, is_out=is_out)
        case Succeeded() | Held():
            return None
        case _:
            assert_never(outcome)


def _for_good(refusal: Refusal, *, is_out: bool) -> When | None:
    if refusal.too_long is not None:
        return When.CONTEXT
    if refusal.blocked:
        return When.POLICY
    return When.PAUSED if is_out and refusal.kind in DOWN else None
