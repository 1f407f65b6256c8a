"""The way of one prompt through a worker: peek, perhaps share, book, claim, call, settle, record.

Nothing is held while the job waits for a limit: no lease, no call slot, no intent. The intent is
committed before the request goes out; the request goes out at the booked start or not at all.
"""

import asyncio
import traceback
from pathlib import Path
from typing import Any

import structlog

from promptmill.schema.bounds import Unbounded, most_micros
from promptmill.schema.fallbacks import When
from promptmill.schema.hint import Hint
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted, Closing
from promptmill.schema.moves.rescuing import is_on_trial
from promptmill.schema.moves.spending import BUDGET, Reservation
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.workers.attempted import NOT_SENT, STOPPED, unstorable
from promptmill.workers.background import LEFT
from promptmill.workers.bench import STALE, BatchPause, Bench, KeyPause, Report
from promptmill.workers.ending import end
from promptmill.workers.exchange import Exchange
from promptmill.workers.falling_back import TOO_LONG, fallback_for
from promptmill.workers.fitting import Unfit, fit_for
from promptmill.workers.limits.limit import Booked, Postponed, Scope, TooLarge
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.providers.listener import Listener
from promptmill.workers.served import Served
from promptmill.workers.sharing import share
from promptmill.workers.turn import CLAIM_LEAD_S, Turn, sleep_until

_log = structlog.get_logger(__name__)
_PUT_BACK = Report("put back: this worker stops")


class Attempt:
    """One execution of one hint. *listener* hears the answer while it comes."""

    def __init__(
        self, hint: Hint, served: Served, bench: Bench, *, listener: Listener | None = None
    ) -> None:
        self.hint, self._served, self._bench, self._listener = hint, served, bench, listener
        self.fence: int | None = None
        """What we hold the job under, from the claim on."""
        self._job: DueJob | None = None
        self._reservation: Reservation | None = None
        """What its claim must find room for: nothing, until it is known what the call can cost."""
        self._turn: Turn | None = None
        self._exchange: Exchange | None = None
        self._running: asyncio.Task[Any] | None = None

    async def run(self) -> Report:
        """Take the job as far as it goes now, and tell what came of it."""
        self._running = asyncio.current_task()
        try:
            return await self._complete()
        except asyncio.CancelledError:
            return await asyncio.shield(self._put_back())
        except Exception as error:  # noqa: BLE001  the outermost loop of a job
            return await self._broken(error)

    @property
    def is_needed(self) -> bool:
        """Whether something was sent whose answer nobody gets but this attempt."""
        sent = self._sent
        return sent is not None and not sent.is_made_without_us

    def interrupt(self) -> None:
        """Stop where it is: what was not sent is put back, what was sent becomes unknown."""
        came = self._exchange is not None and self._exchange.reply is not None
        if self._running is not None and not came:
            # Once: a second cancellation would cut short what the first set going.
            running, self._running = self._running, None
            running.cancel()

    async def _complete(self) -> Report:
        job = self._job = await self._bench.recorder.peek(self.hint)
        if job is None or self._bench.draining:
            await self._bench.recorder.unqueue(self.hint)
            return STALE
        if job.cache_s is not None:
            shared = await share(self._bench, self._served, self.hint, job, keep_s=job.cache_s)
            if shared is not None:
                return shared
        self._reservation = Reservation(job.batch_id, 0) if job.has_budget else None
        fitted = await fit_for(self._bench, self._served, job)
        if isinstance(fitted, Unfit):
            return await self._refuse(fitted.code, fitted.why)
        exchange = self._exchange = Exchange(
            self._bench, self._served, job, fitted, listener=self._listener
        )
        await exchange.prepare()
        if exchange.is_begun:
            return await self._resume(exchange)
        if self._reservation is not None:
            most = most_micros(self._served.terms(job.model), exchange.body, exchange.encoded)
            if isinstance(most, Unbounded):
                return await self._hold_batch(job, most)
            self._reservation = Reservation(job.batch_id, most)
        return await self._take_turns(exchange)

    async def _take_turns(self, exchange: Exchange) -> Report:
        """Book, claim and call, and again where that came too late."""
        job = exchange.job
        turn = self._turn = Turn(
            self._bench,
            self._served.scope(job.model),
            exchange.expected,
            urgent=job.priority > 0,
            alone=is_on_trial(job.crashes, max_crashes=self._bench.policy.max_crashes),
        )
        while True:
            booked = await turn.take()
            if not isinstance(booked, Booked):
                return await self._not_now(booked, turn.scope)
            try:
                report = await self._send(exchange, booked, turn)
            finally:
                turn.release()
            if report is not None:
                return report

    async def _resume(self, exchange: Exchange) -> Report:
        """Look after what is made already: nothing is sent, so nothing is booked."""
        if not await self._claim():
            await self._bench.recorder.unqueue(self.hint)
            return STALE
        if self._bench.draining:
            return await self._put_back()
        scope = self._served.scope(exchange.job.model)
        return await self._end(exchange, scope, *await exchange.ask(self._fence()))

    async def _not_now(self, answer: Postponed | TooLarge, scope: Scope) -> Report:
        if isinstance(answer, TooLarge):
            why = f"needs {answer.cost:,.0f} {answer.dimension}; the limit is {answer.limit:,.0f}"
            return await self._refuse("larger_than_limit", why)
        if answer.for_the_day:
            await asyncio.shield(self._bench.pause(self._day_is_over(answer, scope)))
        await self._bench.recorder.postpone(self.hint, answer.seconds)
        return Report(f"snoozed {answer.seconds:.1f} s: {answer.reason}")

    def _day_is_over(self, answer: Postponed, scope: Scope) -> KeyPause:
        reason = f"daily: our limit {answer.reason} is used up"
        return KeyPause(
            self._served.name,
            self._served.fingerprint,
            ErrorKind.DAILY,
            reason,
            scope.model,
            answer.seconds,
        )

    async def _send(self, exchange: Exchange, booked: Booked, turn: Turn) -> Report | None:
        """Claim and call at the booked start. None: too late, and nothing is held; book again."""
        if exchange.job.on_unknown == "hold":
            await turn.enter()  # a crash would have it held though it was only claimed
        if not await self._claim_before(booked):
            await turn.give_back()
            await self._bench.recorder.unqueue(self.hint)
            return STALE
        confirmed = await turn.confirm(booked)
        if self._bench.draining:
            return await self._put_back()
        if confirmed:
            return await self._call(exchange, confirmed, turn)
        await self._unclaim()
        return None

    async def _claim_before(self, booked: Booked) -> bool:
        """Commit the intent just before the booked start. False: the job is not ours to take."""
        await sleep_until(booked.start - CLAIM_LEAD_S)
        return await self._claim()

    async def _claim(self) -> bool:
        claiming = asyncio.ensure_future(
            self._bench.recorder.claim(self.hint, self._served.fingerprint, self._reservation)
        )
        try:
            self.fence = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self.fence = await claiming  # it is under way: know what came of it, then stop
            raise
        return self.fence is not None

    async def _call(self, exchange: Exchange, booked: Booked, turn: Turn) -> Report:
        reply, took_s = await exchange.ask(self._fence())
        settling = asyncio.create_task(turn.settle(reply))
        if isinstance(reply, Refusal):
            await settling  # before the limiter hears of the refusal
        else:
            turn.release_slot()
        report = await self._end(exchange, turn.scope, reply, took_s, booked=booked)
        await settling  # an answer was stored meanwhile: it waits for no slow Redis
        return report

    async def _end(
        self,
        exchange: Exchange,
        scope: Scope,
        reply: Answer | Refusal,
        latency_s: float,
        *,
        booked: Booked | None = None,
    ) -> Report:
        return await end(
            self._bench,
            self._served,
            exchange.judged_job,
            fence=self._fence(),
            scope=scope,
            booked=booked,
            reply=reply,
            latency_s=latency_s,
            cut=exchange.cut(reply),
        )

    async def _hold_batch(self, job: DueJob, unbounded: Unbounded) -> Report:
        """Pause a batch whose budget nobody could keep."""
        pause = BatchPause(job.batch_id, f"{BUDGET}: {unbounded.problem}")
        await asyncio.shield(self._bench.pause(pause))
        await self._bench.recorder.unqueue(self.hint)
        return Report(f"put back: {BUDGET}")

    async def _unclaim(self) -> None:
        """Close the attempt that was never sent; our hint stays good."""
        await self._give_back()
        await self._close(endings.unclaim(self.hint.job_id, self._fence(), NOT_SENT))
        self.fence = None

    async def _refuse(self, code: str, why: str) -> Report:
        """End a job before any call: claim it, so that nobody else has it, then close it.

        It fails, or goes to a model that may take more.
        """
        if self.fence is None and not await self._claim():
            await self._bench.recorder.unqueue(self.hint)
            return STALE
        refused = Attempted(
            AttemptOutcome.NOT_SENT, error_kind=ErrorKind.REQUEST, error_code=code, error_text=why
        )
        if self._job is not None and code in TOO_LONG:
            to = fallback_for(self._job, When.CONTEXT)
            if to is not None:
                await self._close(
                    endings.fall_back(self.hint.job_id, self._fence(), refused, to.to)
                )
                return Report(f"falls back to {to.to}: request {code}", turned=True)
        await self._close(endings.fail(self.hint.job_id, self._fence(), refused))
        return Report(f"request {code}: {why}", failed=True)

    async def _put_back(self) -> Report:
        """Leave the job as the truth is, because this worker stops."""
        sent = self._sent
        if sent is not None and sent.is_made_without_us:
            await self._settle(STOPPED)
            await self._close(endings.keep(self.hint.job_id, self._fence(), LEFT))
            return _PUT_BACK
        if sent is not None:
            reply, latency_s = sent.reply or (STOPPED, 0.0)
            await self._settle(reply)
            report = await self._end(sent, self._served.scope(sent.job.model), reply, latency_s)
            return Report(report.text, failed=report.failed or sent.reply is None)
        await self._give_back()
        if self.fence is None:
            await self._bench.recorder.unqueue(self.hint)
        else:
            await self._close(endings.keep(self.hint.job_id, self.fence, NOT_SENT))
        return _PUT_BACK

    async def _broken(self, error: Exception) -> Report:
        """Close an attempt that met a bug of ours; its text may quote a prompt, its type not."""
        name = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        at = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        _log.error("attempt_broken", job_id=self.hint.job_id, error=name, at=at)
        sent = self._sent
        if sent is not None and sent.reply is not None and isinstance(sent.reply[0], Answer):
            # Paid for: kept as it came, for a person to look at, and not bought again.
            answer, latency_s = sent.reply
            kept = unstorable(
                answer,
                error,
                price_list=self._served.price_list,
                model=sent.job.model,
                latency_s=latency_s,
            )
            await self._close(endings.hold(self.hint.job_id, self._fence(), kept))
            return Report(f"held: worker_error {name}", failed=True)
        if sent is not None:
            reply = Refusal(ErrorKind.UNKNOWN, f"our own {name} at {at}", code="worker_error")
            await self._settle(reply)
            return await self._end(sent, self._served.scope(sent.job.model), reply, 0.0)
        await self._give_back()
        return await self._refuse("worker_error", f"our own {name} at {at}")

    @property
    def _sent(self) -> Exchange | None:
        """What was sent, if anything was."""
        exchange = self._exchange
        return exchange if exchange is not None and exchange.sent else None

    async def _settle(self, reply: Answer | Refusal) -> None:
        if self._turn is not None:
            await self._turn.settle(reply)

    async def _give_back(self) -> None:
        if self._turn is not None:
            await self._turn.give_back()

    async def _close(self, end_: Closing) -> None:
        await asyncio.shield(self._bench.recorder.close(end_))

    def _fence(self) -> int:
        if self.fence is None:
            msg = "an attempt is closed only under its fence"
            raise RuntimeError(msg)
        return self.fence
