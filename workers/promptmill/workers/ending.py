"""Carry out what was decided about a reply: move the job in SQL, tell the limiter, report."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Literal, assert_never

import structlog

from promptmill.schema.fallbacks import Fallback
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted, Closing
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.pii.masking import masked_bytes
from promptmill.schema.pii.shapes import Finder, find
from promptmill.schema.reading import DueJob
from promptmill.schema.truncation import Cut
from promptmill.workers import decide as deciding
from promptmill.workers.answer_mask import masked_result
from promptmill.workers.attempted import attempted_of, result_of
from promptmill.workers.bench import BatchPause, Bench, KeyPause, Report
from promptmill.workers.falling_back import DOWN, fallback_after, unless_filtered
from promptmill.workers.limits.limit import Booked, Scope
from promptmill.workers.outages import Health, refused_by_all
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.served import Served
from promptmill.workers.writes import Stored

MOVING_S = 60.0
"""for how long an outage counts as one that will last, so that the dispatcher moves what waits"""
_log = structlog.get_logger(__name__)


async def end(
    bench: Bench,
    served: Served,
    job: DueJob,
    *,
    fence: int,
    scope: Scope,
    booked: Booked | None = None,
    reply: Answer | Refusal,
    latency_s: float,
    cut: Cut | None = None,
) -> Report:
    """Decide what *reply* means for *job*, and do it. *cut*: what was left out of its prompt."""
    reply = unless_filtered(reply, job)
    health = bench.outages.observe(scope, job.job_id, reply)
    meant = reply
    if isinstance(reply, Refusal) and health is Health.DOWN:
        meant = refused_by_all(reply)
    outcome = deciding.decide(meant, job, policy=bench.policy, rng=bench.rng)
    attempted = attempted_of(
        kept(reply, job),
        price_list=served.price_list,
        model=job.model,
        latency_s=latency_s,
        cut=cut,
    )
    bench.trace(served.kind, job, fence, reply, attempted)
    if isinstance(outcome, deciding.Snoozed):
        await pause_all(bench, scope, outcome.refusal, outcome.pause_s, booked, ramp=outcome.ramp)
    elif isinstance(reply, Refusal) and health is Health.DOWN_FOR_LONG:
        meant = refused_by_all(reply)
        await pause_all(bench, scope, meant, deciding.OVERLOADED_PAUSE_S, booked)
    to = _fallback(bench, outcome, job, scope)
    pause: KeyPause | BatchPause | None = key_pause(outcome, served, scope)
    if to is None:
        pause = _systematic(bench, outcome, job, reply) or pause
    if isinstance(meant, Refusal) and meant.kind in DOWN and (to or _is_out(bench, job, scope)):
        pause = _outage(served, scope, seconds=bench.policy.fallback_after_s + MOVING_S)
    if pause is not None:
        # Before the job is put back and its slot is free, or the next call goes out unpaused.
        await asyncio.shield(bench.pause(pause))
    closing = partial(closing_of, outcome, job, fence, attempted, to=to, finder=bench.finder)
    # Where presidio finds what is to be masked, that takes its time.
    closed = await asyncio.shield(asyncio.to_thread(closing)) if job.mask_answer else closing()
    closed = await _with_files(bench, job, closed, reply)
    stored = await asyncio.shield(bench.recorder.close(closed))
    return _report(outcome, attempted, to) if stored is Stored.MOVED else _not_moved(stored)


async def _with_files(
    bench: Bench, job: DueJob, closed: Closing, reply: Answer | Refusal
) -> Closing:
    """Write what came as bytes to files: they are there before the answer is."""
    if not isinstance(reply, Answer) or not reply.media or closed.result is None:
        return closed
    writing = asyncio.to_thread(
        bench.files.keep,
        closed.result,
        reply.media,
        batch_id=job.batch_id,
        name=f"{closed.job_id}-{closed.fence}",
    )
    result = await asyncio.shield(writing)
    return replace(closed, result=result)


async def pause_all(
    bench: Bench,
    scope: Scope,
    refusal: Refusal,
    seconds: float,
    booked: Booked | None,
    *,
    ramp: bool = False,
) -> None:
    """Let all workers wait, and tell people once."""
    reason = what(refusal)
    if bench.told.is_new(scope, booked):
        _log.warning(
            "provider_paused",
            provider=scope.provider,
            model=scope.model,
            reason=reason,
            seconds=seconds,
        )
    await bench.permits.penalise(
        scope, kind=refusal.kind, pause_s=seconds, reason=reason, ramp=ramp, refused=booked
    )


def key_pause(outcome: deciding.Outcome, served: Served, scope: Scope) -> KeyPause | None:
    """Say what stops in SQL: a key without money or right, or a model for the rest of a day."""
    match outcome:
        case deciding.Stopped(refusal=refusal):
            why = refusal.message or refusal.code or refusal.http_status
            return KeyPause(served.name, served.fingerprint, refusal.kind, f"{refusal.kind}: {why}")
        case deciding.Snoozed(refusal=refusal, pause_s=pause_s) if outcome.for_the_day:
            reason = f"{refusal.kind}: {refusal.message or refusal.code or 'quota of the day'}"
            return KeyPause(
                served.name, served.fingerprint, refusal.kind, reason, scope.model, pause_s
            )
    return None


def kept(reply: Answer | Refusal, job: DueJob) -> Answer | Refusal:
    """Mask the bytes that are kept of what was no usable answer, where answers are masked."""
    if not job.mask_answer or not isinstance(reply, Refusal) or reply.raw is None:
        return reply
    return replace(reply, raw=masked_bytes(reply.raw))


def _fallback(
    bench: Bench, outcome: deciding.Outcome, job: DueJob, scope: Scope
) -> Fallback | None:
    """Say who is asked next, where that is another model."""
    if job.fallbacks is None:
        return None
    after_s, outage_s = bench.policy.fallback_after_s, bench.outages.lasts_s(scope)
    return fallback_after(outcome, job, outage_s=outage_s, after_s=after_s)


def _is_out(bench: Bench, job: DueJob, scope: Scope) -> bool:
    """Tell whether the other members of a pool are to take over, since this one is down."""
    lasts_s = bench.outages.lasts_s(scope)
    return job.pool is not None and lasts_s is not None and lasts_s >= bench.policy.fallback_after_s


def _systematic(
    bench: Bench, outcome: deciding.Outcome, job: DueJob, reply: Answer | Refusal
) -> BatchPause | None:
    """Stop a batch whose jobs all fail alike."""
    if not isinstance(outcome, deciding.Succeeded | deciding.Failed):
        return None
    reason = bench.same_failures.observe(job, reply)
    return BatchPause(job.batch_id, reason) if reason else None


def _outage(served: Served, scope: Scope, *, seconds: float) -> KeyPause:
    """Stop a model in SQL: the dispatcher then moves what waits for it, and can fall back."""
    reason = f"{ErrorKind.OVERLOADED}: nobody was answered for some time"
    return KeyPause(
        served.name, served.fingerprint, ErrorKind.OVERLOADED, reason, scope.model, seconds
    )


def closing_of(
    outcome: deciding.Outcome,
    job: DueJob,
    fence: int,
    attempted: Attempted,
    *,
    to: Fallback | None = None,
    finder: Finder = find,
) -> Closing:
    """Say where an outcome puts its job; *to*: who is asked next, where that is another model.

    *finder* says what is masked of an answer, where that is.
    """
    job_id = job.job_id
    if to is not None:
        return endings.fall_back(job_id, fence, attempted, to.to)
    match outcome:
        case deciding.Succeeded(answer=answer):
            result = result_of(answer)
            stored = masked_result(result, finder) if job.mask_answer else result
            return endings.finish(job_id, fence, attempted, stored)
        case deciding.Retry(delay_s=delay_s):
            return endings.retry(job_id, fence, attempted, delay_s)
        case deciding.Snoozed(delay_s=delay_s):
            return endings.snooze(job_id, fence, attempted, delay_s)
        case deciding.Stopped():
            return endings.keep(job_id, fence, attempted)
        case deciding.Held():
            return endings.hold(job_id, fence, attempted)
        case deciding.Failed():
            return endings.fail(job_id, fence, attempted)
        case _:
            assert_never(outcome)


def _not_moved(stored: Literal[Stored.TAKEN, Stored.HELD, Stored.SPOOLED]) -> Report:
    match stored:
        case Stored.TAKEN:
            return Report("late: another run has this job now")
        case Stored.HELD:
            return Report("held: bad_response unstorable", failed=True)
        case Stored.SPOOLED:
            return Report("spooled: sql is away, the next worker stores it")
        case _:
            assert_never(stored)


def _report(outcome: deciding.Outcome, attempted: Attempted, to: Fallback | None) -> Report:
    if to is not None and not isinstance(outcome, deciding.Succeeded):
        return Report(f"falls back to {to.to}: {what(outcome.refusal)}", turned=True)
    match outcome:
        case deciding.Succeeded():
            return Report(_ok(attempted))
        case deciding.Retry(refusal=refusal, delay_s=delay_s):
            return Report(what(refusal), retry_in_s=delay_s)
        case deciding.Snoozed(refusal=refusal, delay_s=delay_s):
            return Report(f"snoozed {delay_s:.1f} s: {what(refusal)}")
        case deciding.Stopped(refusal=refusal):
            return Report(f"paused: {what(refusal)}")
        case deciding.Held(refusal=refusal):
            return Report(f"held: {what(refusal)}", failed=True)
        case deciding.Failed(refusal=refusal, why=why):
            return Report(f"{what(refusal)} ({why})", failed=True)
        case _:
            assert_never(outcome)


def what(refusal: Refusal) -> str:
    """Name a refusal in a few words: kind, status, the provider's code."""
    parts = (refusal.kind, refusal.http_status, refusal.code)
    return " ".join(str(part) for part in parts if part)


def _ok(attempted: Attempted) -> str:
    usage, cost = attempted.usage, attempted.cost_micros
    tokens = f" in={usage.input_tokens} out={usage.output_tokens}" if usage else ""
    dollars = f" ${cost / 1e6:.6f}" if cost is not None else ""
    return f"ok{tokens}{dollars}"
