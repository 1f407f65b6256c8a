"""What to do after a call: pure, from what came back and the job's past to an outcome."""

import random
from dataclasses import dataclass
from typing import assert_never

from promptmill.schema.answer_forms import INVALID, OnInvalid
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import RetrySettings
from promptmill.workers.answer_check import CUT, INVALID_AGAIN
from promptmill.workers.backoff import next_delay
from promptmill.workers.providers.base import Answer, Refusal

RATE_PAUSE_S = 1.0
"""A rate refusal that names no time; the limiter waits longer where one follows another."""
OVERLOADED_PAUSE_S = 2.0
RAMP_CODES = frozenset({"slow_down", "ramp_limit_exceeded"})
"""Refused for too fast a rise, whatever the limit is."""
FORMLESS = frozenset({INVALID, INVALID_AGAIN, CUT})
"""Answers that are complete, and do not follow the schema of their prompt."""
DAILY_PAUSE_S = 3600.0
"""A daily quota whose reset is not told: one probe an hour."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Store the answer."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after a backoff. Uses up an attempt."""

    refusal: Refusal
    delay_s: float


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Wait because the provider refused us all. Uses up no attempt."""

    refusal: Refusal
    delay_s: float
    """for this job"""
    pause_s: float
    """for every worker"""

    @property
    def ramp(self) -> bool:
        """Whether it was the rise that was refused."""
        return self.refusal.code in RAMP_CODES

    @property
    def for_the_day(self) -> bool:
        """Whether a day's quota is used up."""
        return self.refusal.kind is ErrorKind.DAILY


@dataclass(frozen=True, slots=True)
class Stopped:
    """Keep the job and stop the provider until told: no money, or a key that is refused."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Failed:
    """Give the job up."""

    refusal: Refusal
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """Hold the job for a person: it may have been billed, and the policy is not to pay twice."""

    refusal: Refusal


Outcome = Succeeded | Retry | Snoozed | Stopped | Failed | Held


def decide(
    reply: Answer | Refusal, job: DueJob, *, policy: RetrySettings, rng: random.Random
) -> Outcome:
    """Tell what *reply* means for *job*. The rows of the one error table, in their order."""
    if isinstance(reply, Answer):
        return Succeeded(reply)
    match reply.kind:
        case ErrorKind.RATE | ErrorKind.OVERLOADED | ErrorKind.DAILY:
            return _refused(reply, job, policy=policy, rng=rng)
        case ErrorKind.TRANSIENT:
            return _tried(reply, job, policy=policy, rng=rng)
        case ErrorKind.UNKNOWN:
            if job.on_unknown == "hold":
                return Held(reply)
            return _tried(reply, job, policy=policy, rng=rng)
        case ErrorKind.BAD_RESPONSE:
            return _unusable(reply, job, policy=policy, rng=rng)
        case ErrorKind.MONEY | ErrorKind.KEY:
            return Stopped(reply)
        case ErrorKind.REQUEST if reply.too_long is not None and reply.too_long.may_cut:
            return _shortened(reply, job, policy=policy)
        case ErrorKind.REQUEST:
            return Failed(reply, "the request itself is refused")
        case _:
            assert_never(reply.kind)


def decide_for_all(refusal: Refusal) -> Snoozed | Stopped | None:
    """Tell what the refusal of a call that is no job's means for every worker; None: nothing."""
    match refusal.kind:
        case ErrorKind.RATE | ErrorKind.OVERLOADED | ErrorKind.DAILY:
            return Snoozed(refusal, delay_s=0.0, pause_s=_pause_s(refusal))
        case ErrorKind.MONEY | ErrorKind.KEY:
            return Stopped(refusal)
        case _:
            return None


def _refused(
    refusal: Refusal, job: DueJob, *, policy: RetrySettings, rng: random.Random
) -> Outcome:
    if job.refusals + 1 >= policy.max_refusals:
        return Failed(refusal, f"refused {_often(job.refusals + 1, 'time')}")
    pause_s = _pause_s(refusal)
    # The limiter spreads those that come back, so a little is enough to keep them from one tick.
    return Snoozed(refusal, delay_s=pause_s + rng.uniform(0, 0.5), pause_s=pause_s)


def _pause_s(refusal: Refusal) -> float:
    default_s = {
        ErrorKind.RATE: RATE_PAUSE_S,
        ErrorKind.OVERLOADED: OVERLOADED_PAUSE_S,
        ErrorKind.DAILY: DAILY_PAUSE_S,
    }[refusal.kind]
    return default_s if refusal.retry_after_s is None else refusal.retry_after_s


def _shortened(refusal: Refusal, job: DueJob, *, policy: RetrySettings) -> Outcome:
    """Send what was too long once more, and cut: at once, since it is the prompt's own trouble."""
    if job.attempts + 1 >= policy.max_attempts:
        return Failed(refusal, _often(job.attempts + 1, "attempt"))
    return Retry(refusal, delay_s=0.0)


def _unusable(
    refusal: Refusal, job: DueJob, *, policy: RetrySettings, rng: random.Random
) -> Outcome:
    """Ask once more; of an answer that has not its form, where its batch wants that."""
    if refusal.code not in FORMLESS and job.attempts > 0:
        return Failed(refusal, "paid for twice, and still no usable answer")
    if refusal.code == CUT:
        return Failed(refusal, "it would be cut again: allow it more tokens")
    if refusal.code == INVALID_AGAIN:
        return Failed(refusal, "asked twice, and still not by the schema")
    if refusal.code == INVALID and job.on_invalid == OnInvalid.FAIL:
        return Failed(refusal, "its batch fails what does not follow the schema")
    return _tried(refusal, job, policy=policy, rng=rng)


def _tried(refusal: Refusal, job: DueJob, *, policy: RetrySettings, rng: random.Random) -> Outcome:
    if job.attempts + 1 >= policy.max_attempts:
        return Failed(refusal, _often(job.attempts + 1, "attempt"))
    delay_s = next_delay(
        job.attempts + 1,
        retry_after_s=refusal.retry_after_s,
        base_s=policy.base_s,
        cap_s=policy.cap_s,
        rng=rng,
    )
    return Retry(refusal, delay_s)


def _often(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
