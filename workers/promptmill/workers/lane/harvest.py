"""What a provider batch brought: each row is an answer or a refusal, decided as any other.

Rows are matched as a set, by job and fence. Reading them again changes nothing.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import structlog

from promptmill.schema.answer_forms import form_of
from promptmill.schema.database import Database
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted, Closing
from promptmill.schema.moves.rescuing import running_of
from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.schema.pii.shapes import Finder
from promptmill.schema.prices import BATCH
from promptmill.schema.provider_batches import InBatch, ProviderBatch, jobs_in, these_in
from promptmill.schema.reading import DueJob
from promptmill.schema.requests import endpoint_of
from promptmill.schema.settings import RetrySettings
from promptmill.schema.states import JobState
from promptmill.schema.truncation import Cut, Truncate
from promptmill.workers.answer_check import judged
from promptmill.workers.attempted import attempted_of
from promptmill.workers.bench import Trace
from promptmill.workers.decide import FORMLESS, Stopped, decide
from promptmill.workers.ending import closing_of, kept
from promptmill.workers.falling_back import fallback_after, unless_filtered
from promptmill.workers.files import AnswerFiles
from promptmill.workers.fitting import Fitted
from promptmill.workers.lane.stopping import stop_key
from promptmill.workers.lane.tally import Tally
from promptmill.workers.lane.writing import store
from promptmill.workers.limits.limit import Estimate
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.batches import BatchApi, Missed, Row, Standing
from promptmill.workers.providers.reply import Reply
from promptmill.workers.same_failures import SameFailures
from promptmill.workers.served import Served
from promptmill.workers.tokens import estimate

_log = structlog.get_logger(__name__)
_GROUP: Final = 200
_EXPIRED: Final = Refusal(
    ErrorKind.OVERLOADED, "the batch API did not get to it in time", code="batch_expired"
)
_MISSING: Final = Refusal(
    ErrorKind.UNKNOWN, "its provider batch came back without it", code="batch_row_missing"
)
_STRANGE: Final = Refusal(
    ErrorKind.BAD_RESPONSE, "its results hold none of its jobs", code="strange_results"
)
"""Read again rather than believed: all of it would be bought again."""
_CANCELLED: Final = Attempted(AttemptOutcome.NOT_SENT, error_code="batch_cancelled")


class Harvest:
    """Brings in the results of one provider."""

    def __init__(
        self,
        database: Database,
        served: Served,
        api: BatchApi,
        *,
        policy: RetrySettings,
        files: AnswerFiles,
        rng: random.Random,
        trace: Trace,
        finder: Finder,
    ) -> None:
        self._database, self._served, self._api = database, served, api
        self._policy, self._files, self._rng = policy, files, rng
        self._trace, self._finder = trace, finder
        self._same_failures = SameFailures(policy.same_failures)
        self._tally = Tally(0, is_answered=True)
        """of the provider batch that is brought in"""
        self._stopped: Refusal | None = None
        """of a row that was refused for money or right"""

    async def bring_in(self, one: ProviderBatch, standing: Standing) -> Refusal | None:
        """Store what came of a provider batch, then end what did not come. None: all is done."""
        self._tally = Tally(self._policy.same_failures, is_answered=not self.holds_all(one))
        group: list[Row] = []
        found = 0
        async for row in self._api.rows(standing):
            if isinstance(row, Refusal):
                return row
            group.append(row)
            if len(group) == _GROUP:
                found += self._store(one, group)
                group = []
        found += self._store(one, group)
        if standing.done and not found and self.holds_all(one):
            return _STRANGE
        self._judge(one)
        self.end_missing(one, standing.left or _MISSING)
        return None

    def fail_lines(self, one: ProviderBatch, lines: Sequence[int], refusal: Refusal) -> int:
        """Fail the jobs of these lines, from 1, which the provider refused for what they are.

        Returns how many there were.
        """
        self._tally = Tally(self._policy.same_failures, is_answered=False)
        wanted, number, after = set(lines), 0, 0
        ends: list[Closing] = []
        while page := self._page(one, after):
            for inside in page:
                number += 1
                if number in wanted:
                    ends.append(self._end(inside, replace(refusal, kind=ErrorKind.REQUEST)))
            after = page[-1].job.job_id
        self._judge(one)
        store(self._database, ends, owner=one.id)
        return len(ends)

    def end_missing(self, one: ProviderBatch, why: Refusal | Missed) -> None:
        """End what is still in it, of which nothing came."""
        while page := self._page(one, 0):
            ends = [
                self._came(inside, why) if isinstance(why, Missed) else self._end(inside, why)
                for inside in page
            ]
            store(self._database, ends, owner=one.id)

    def holds_all(self, one: ProviderBatch) -> bool:
        """Tell whether none of its jobs has ended yet."""
        with self._database.read() as connection:
            return len(running_of(connection, one.id, most=one.jobs)) == one.jobs

    def _store(self, one: ProviderBatch, rows: Sequence[Row]) -> int:
        """Store what came; tell of how many jobs that are still in it."""
        came = {key: row.came for row in rows if (key := key_of(row.custom_id)) is not None}
        with self._database.read() as connection:
            inside = these_in(connection, one.id, list(came))
        ends = [self._came(found, came[key]) for key, found in inside.items()]
        if self._stopped is not None:
            # Before the jobs are put back, or the next provider batch goes out unpaused.
            stop_key(self._database, self._served, self._stopped)
            self._stopped = None
        store(self._database, ends, owner=one.id)
        return len(ends)

    def _judge(self, one: ProviderBatch) -> None:
        """Let its batch pause where all that came of it are equal errors."""
        reason = self._tally.judge(one.batch_id, self._same_failures)
        if reason is not None:
            with self._database.write() as connection:
                pause_batch(connection, one.batch_id, reason)
            _log.error("batch paused", batch=one.batch_id, reason=reason)

    def _page(self, one: ProviderBatch, after: int) -> list[InBatch]:
        with self._database.read() as connection:
            return jobs_in(connection, one.id, after=after, most=_GROUP)

    def _came(self, inside: InBatch, came: Reply | Missed) -> Closing:
        if came is Missed.CANCELLED:
            return endings.keep(inside.job.job_id, inside.fence, _CANCELLED)
        if came is Missed.EXPIRED:
            return self._end(inside, _EXPIRED)
        job = inside.job
        body: dict[str, Any] = msgspec.json.decode(job.body)
        call = Call(job.model, body, custom_id(inside), 0.0, endpoint_of(body))
        reply = self._api.read(call, came)
        if reply.usage is not None:
            reply = replace(reply, usage=replace(reply.usage, service_tier=BATCH))
        fitted = self._fitted(job, body)
        reply = fitted.heard(reply)
        form = form_of(body)
        if form is not None and isinstance(reply, Answer):
            reply = judged(reply, form, on_invalid=job.on_invalid, asked_again=False)
        return self._end(inside, reply, cut=fitted.cut(reply))

    def _fitted(self, job: DueJob, body: dict[str, Any]) -> Fitted:
        """Tell how a prompt may be cut that was sent whole."""
        if job.truncate is None:
            return Fitted(body, Estimate(0, None))
        return Fitted(body, estimate(self._served.kind, body), Truncate(job.truncate))

    def _end(self, inside: InBatch, reply: Answer | Refusal, *, cut: Cut | None = None) -> Closing:
        job, prices = inside.job, self._served.price_list
        reply = unless_filtered(reply, job)
        outcome = decide(reply, job, policy=self._policy, rng=self._rng)
        if isinstance(outcome, Stopped):
            self._stopped = outcome.refusal
        to = fallback_after(outcome, job, outage_s=None, after_s=self._policy.fallback_after_s)
        attempted = attempted_of(
            kept(reply, job), price_list=prices, model=job.model, latency_s=0.0, cut=cut
        )
        attempted = replace(attempted, latency_ms=None)  # of the provider batch, not of a call
        self._tally.add(job, reply)
        self._trace(self._served.kind, job, inside.fence, reply, attempted)
        end = closing_of(outcome, job, inside.fence, attempted, to=to, finder=self._finder)
        if isinstance(reply, Answer) and reply.media and end.result is not None:
            name = f"{job.job_id}-{inside.fence}"
            with_files = self._files.keep(end.result, reply.media, batch_id=job.batch_id, name=name)
            end = replace(end, result=with_files)
        return _undecided(end, reply)


def custom_id(inside: InBatch) -> str:
    """Name a row, as a live call is named: by batch, job and fence."""
    return f"{inside.job.batch_id}-{inside.job.job_id}-{inside.fence}"


def key_of(custom_id: str) -> tuple[int, int] | None:
    """Read job and fence out of a custom_id; None: it is none of ours."""
    parts = custom_id.split("-")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    return int(parts[1]), int(parts[2])


def _undecided(end: Closing, reply: Answer | Refusal) -> Closing:
    """Leave to the dispatcher which lane a job takes that is asked again.

    Where an answer had not its form, or the prompt is to be cut, that is the live one: a worker
    knows how it is asked then.
    """
    if end.state is not JobState.WAITING:
        return end
    if isinstance(reply, Refusal) and (reply.code in FORMLESS or reply.too_long is not None):
        return end
    return replace(end, state=JobState.PENDING, delay_s=None)
