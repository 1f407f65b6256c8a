"""Vectors from a provider: texts of one batch that come together are asked together.

Each call is booked, intended, settled and paid as that of a prompt is. What goes wrong with it is
no prompt's trouble: there is no vector then, and the prompt is asked.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import Any, Final

import msgspec
import structlog

from promptmill.schema.bounds import most_micros
from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.embeddings import embeddings_in
from promptmill.schema.errors import ServiceError
from promptmill.schema.moves.embedder_calls import Intent, end_call, intend_call
from promptmill.schema.moves.endings import Attempted
from promptmill.schema.moves.similar import kept_vectors
from promptmill.schema.reading import DueJob
from promptmill.schema.requests import endpoint_of
from promptmill.schema.tokens import count
from promptmill.workers.attempted import NOT_SENT, STOPPED, attempted_of
from promptmill.workers.bench import Bench
from promptmill.workers.decide import Snoozed, decide_for_all
from promptmill.workers.ending import key_pause, pause_all, what
from promptmill.workers.limits.limit import Booked, Scope
from promptmill.workers.patience import Patience
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.registry import embedding_of
from promptmill.workers.served import Served
from promptmill.workers.similar.embedder import of_length_1
from promptmill.workers.similar.neighbours import Vector, decode
from promptmill.workers.similar.split import Split
from promptmill.workers.tokens import estimate
from promptmill.workers.turn import CLAIM_LEAD_S, Turn, sleep_until

TIMEOUT_S: Final = 10.0
"""round one call: a prompt waits for it"""
REST_S: Final = 30.0
"""After a call that failed, prompts are asked without one for so long."""
_GATHER_S: Final = 0.005
_TRIES: Final = 3
"""for a call whose start was missed, since this process is busy"""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A vector that somebody waits for."""

    job: DueJob
    parts: Split
    told: "asyncio.Future[Vector | None]" = field(repr=False)


class _Unsent(Enum):
    """Why nothing was sent."""

    LATE = "late"
    NOT_NOW = "not now"
    """no turn, a pause, or no room in a budget"""


class EmbedderCalls:
    """Asks one model. *served* tells its provider, as limits hold for it now.

    Raises SettingsError where its provider makes no vectors.
    """

    def __init__(
        self, bench: Bench, database: Database, served: Callable[[], Served], model: str
    ) -> None:
        self._bench, self._database, self._served, self._model = bench, database, served, model
        asked = served()
        self._how = embedding_of(asked.name, asked.kind)
        address = asked.settings.base_url
        self.made_by = f"{asked.name}/{model}" if address is None else f"{model} at {address}"
        self._waiting: dict[int, list[_Wanted]] = {}
        """by batch, since what a call costs is one batch's"""
        self._calls: set[asyncio.Task[None]] = set()
        self._gathers = False
        self._rests_until = 0.0
        self._patience = Patience()

    async def vector(self, job: DueJob, parts: Split) -> Vector | None:
        """Ask for the vector of a text, or find that of an earlier look."""
        if self._is_too_long(parts.text):
            return None
        loop = asyncio.get_running_loop()
        wanted = _Wanted(job, parts, loop.create_future())
        self._waiting.setdefault(job.batch_id, []).append(wanted)
        if not self._gathers:
            self._gathers = True
            loop.call_later(_GATHER_S, self._begin)
        return await wanted.told

    async def close(self) -> None:
        """End the calls that are open: nobody knows what comes of them."""
        self._patience.hurry()
        self._waiting.clear()
        for call in tuple(self._calls):
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    def _is_too_long(self, text: str) -> bool:
        # A text has no more tokens than bytes: most need not be counted.
        longest = self._how.longest
        return len(text.encode("utf-8", "surrogatepass")) > longest and count(text) > longest

    def _begin(self) -> None:
        """Begin as many calls as may be open; what comes meanwhile gathers."""
        self._gathers = False
        while self._waiting and len(self._calls) < self._how.calls:
            batch_id = next(iter(self._waiting))
            all_of_it = self._waiting.pop(batch_id)
            now, later = all_of_it[: self._how.texts], all_of_it[self._how.texts :]
            if later:
                self._waiting[batch_id] = later  # behind the other batches
            call = asyncio.create_task(self._tell(now), name="embedder-call")
            self._calls.add(call)
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._begin()

    async def _tell(self, group: Sequence[_Wanted]) -> None:
        wanted = [one for one in group if not one.told.done()]  # the others wait no more
        found: Mapping[int, Vector] = {}
        try:
            found = await self._find(wanted)
        except Exception as error:  # noqa: BLE001  no prompt fails since it has no vector
            _log.error("embedder failed", model=self.made_by, error=type(error).__name__)
        finally:
            for one in wanted:
                if not one.told.done():
                    one.told.set_result(found.get(one.job.job_id))

    async def _find(self, wanted: Sequence[_Wanted]) -> dict[int, Vector]:
        """Find vectors by job: of a job that was here before, what was bought then."""
        asked = [(one.job.job_id, one.parts.scope) for one in wanted]
        kept = await asyncio.to_thread(self._kept, asked)
        found = {job_id: decode(vector) for job_id, vector in kept.items()}
        new = [one for one in wanted if one.job.job_id not in found]
        if not new or monotonic() < self._rests_until or self._bench.draining:
            return found
        texts = list(dict.fromkeys(one.parts.text for one in new))
        made = dict(zip(texts, await self._ask([one.job for one in new], texts), strict=False))
        return found | {
            one.job.job_id: made[one.parts.text] for one in new if one.parts.text in made
        }

    def _kept(self, asked: Sequence[tuple[int, str]]) -> dict[int, str]:
        with self._database.read() as connection:
            return kept_vectors(connection, asked)

    async def _ask(self, jobs: Sequence[DueJob], texts: Sequence[str]) -> Sequence[Vector]:
        """Make one call for *texts*, of jobs of one batch; return their vectors, or none."""
        served, body = self._served(), self._how.body(texts)
        intent = self._intent(served, jobs[0].batch_id, body, texts)
        urgent = any(job.priority > 0 for job in jobs)
        reply: Answer | Refusal | _Unsent = _Unsent.LATE
        for _ in range(_TRIES):
            reply = await self._try(served, body, intent, urgent=urgent)
            if reply is not _Unsent.LATE:
                break
        if not isinstance(reply, Answer) or reply.body is None:
            return ()
        return await asyncio.to_thread(self._read, reply.body, len(texts))

    async def _try(
        self, served: Served, body: Mapping[str, Any], intent: Intent, *, urgent: bool
    ) -> "Answer | Refusal | _Unsent":
        """Book, intend and send, at the booked start or not at all."""
        scope = served.scope(self._model)
        turn = Turn(self._bench, scope, estimate(served.kind, body), urgent=urgent, alone=False)
        try:
            booked = await turn.take()
            if not isinstance(booked, Booked):
                return _Unsent.NOT_NOW
            await sleep_until(booked.start - CLAIM_LEAD_S)
            call_id = await self._intend(intent)
            if call_id is None:
                return _Unsent.NOT_NOW
            return await self._send(call_id, served, body, turn, booked)
        finally:
            await turn.give_back()  # what nothing was sent for
            turn.release()

    def _read(self, body: bytes, texts: int) -> Sequence[Vector]:
        return list(of_length_1(embeddings_in(body), count=texts, by=self.made_by))

    def _intent(
        self, served: Served, batch_id: int, body: Mapping[str, Any], texts: Sequence[str]
    ) -> Intent:
        most = most_micros(served.terms(self._model), body, msgspec.json.encode(body))
        return Intent(
            batch_id=batch_id,
            provider=served.name,
            model=self._model,
            fingerprint=served.fingerprint,
            worker_id=self._bench.recorder.worker_id,
            texts=len(texts),
            most_micros=most if isinstance(most, int) else None,
        )

    async def _intend(self, intent: Intent) -> int | None:
        intending = asyncio.ensure_future(asyncio.to_thread(self._write_intent, intent))
        try:
            return await asyncio.shield(intending)
        except asyncio.CancelledError:
            call_id = await intending  # it is under way: know what came of it, then stop
            if call_id is not None:
                await self._end(call_id, NOT_SENT)
            raise

    def _write_intent(self, intent: Intent) -> int | None:
        try:
            with self._database.write() as connection:
                return intend_call(connection, intent)
        except (DatabaseError, ServiceError):
            return None

    async def _send(
        self, call_id: int, served: Served, body: Mapping[str, Any], turn: Turn, booked: Booked
    ) -> "Answer | Refusal | _Unsent":
        """Send it at its start, and write what came of it."""
        reply: Answer | Refusal = STOPPED
        attempted = NOT_SENT
        loop = asyncio.get_running_loop()
        try:
            confirmed = await turn.confirm(booked)
            if confirmed is None:
                return _Unsent.LATE
            began = loop.time()
            attempted = self._attempted(served, STOPPED, 0.0)
            reply = await served.adapter.complete(self._call(call_id, body))
            attempted = self._attempted(served, reply, loop.time() - began)
            if isinstance(reply, Refusal):
                await turn.settle(reply)  # before the limiter hears of the refusal
                await self._refused(served, turn.scope, reply, confirmed)
            return reply
        finally:
            await turn.settle(reply)
            await asyncio.shield(self._end(call_id, attempted))

    def _call(self, call_id: int, body: Mapping[str, Any]) -> Call:
        return Call(
            model=self._model,
            body=body,
            request_id=f"embedder-{call_id}",
            timeout_s=TIMEOUT_S,
            endpoint=endpoint_of(body),
        )

    def _attempted(self, served: Served, reply: Answer | Refusal, latency_s: float) -> Attempted:
        return attempted_of(
            reply, price_list=served.price_list, model=self._model, latency_s=latency_s
        )

    async def _refused(
        self, served: Served, scope: Scope, refusal: Refusal, booked: Booked
    ) -> None:
        """Let all workers hear of a limit, and stop a key, as for a prompt; else rest a while."""
        meant = decide_for_all(refusal)
        if not isinstance(meant, Snoozed):
            self._rests_until = monotonic() + REST_S
            _log.warning("embedder refused", model=self.made_by, reason=what(refusal))
        if meant is None:
            return
        if isinstance(meant, Snoozed):
            await pause_all(self._bench, scope, refusal, meant.pause_s, booked, ramp=meant.ramp)
        pause = key_pause(meant, served, scope)
        if pause is not None:
            await self._bench.pause(pause)

    async def _end(self, call_id: int, attempted: Attempted) -> None:
        """Write what came of a call; where SQL stays away, the sweep ends it as unknown."""

        def write(_again: bool) -> None:
            with self._database.write() as connection:
                end_call(connection, call_id, attempted)

        try:
            await asyncio.to_thread(self._patience.keep_trying, write, may_give_up=lambda: True)
        except (DatabaseError, ServiceError) as error:
            _log.error("embedder call not closed", call=call_id, error=type(error).__name__)
