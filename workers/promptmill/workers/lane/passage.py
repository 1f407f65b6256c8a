"""The way of one provider batch: handed in once, looked at, brought home.

What was committed says where it is. Whoever leads goes on from there: a batch that may be at the
provider is looked for by its marker before it is handed in again.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, assert_never

import msgspec
import structlog

from promptmill.schema.database import Database
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted, Closing
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.schema.provider_batches import (
    InBatch,
    ProviderBatch,
    close_up,
    end,
    intend,
    jobs_in,
    known_at,
    not_there,
    open_provider_batches,
    sent,
    tell,
)
from promptmill.schema.requests import Endpoint, endpoint_of
from promptmill.schema.settings import LaneSettings
from promptmill.schema.states import JobState
from promptmill.workers.ending import what
from promptmill.workers.lane.filling import Filler
from promptmill.workers.lane.harvest import Harvest, custom_id
from promptmill.workers.lane.stopping import is_key_stopped, stop_key
from promptmill.workers.lane.writing import store
from promptmill.workers.providers.base import Call, Refusal
from promptmill.workers.providers.batches import FULL, BatchApi, Handed, Sought, Stage, Standing
from promptmill.workers.served import Served

_log = structlog.get_logger(__name__)
_PAGE: Final = 500
_SKEW: Final = timedelta(hours=1)
"""by how much a provider's clock may be behind"""
_LONGER: Final = 1.5
_GONE: Final = 404
_LOOKS: Final = 10
"""in a row that find nothing of it, or no results; then there are none"""
_FINAL: Final = frozenset({ErrorKind.REQUEST, ErrorKind.BAD_RESPONSE})
"""refusals that say that there are none; one of the key says that another may read them"""
_ANOTHERS: Final = Refusal(
    ErrorKind.KEY,
    "it is shown to the key alone that handed it in",
    code="batch_of_another_key",
)
_LOST: Final = Refusal(
    ErrorKind.UNKNOWN, "the results of its provider batch are not there", code="batch_results_lost"
)
_STUCK: Final = Refusal(
    ErrorKind.UNKNOWN, "its provider batch never came to an end", code="batch_results_lost"
)
_OVERDUE, _LOST_AFTER = 2, 3
"""windows after which what is not done yet is called back, and after which nothing comes any more:
Gemini lets a batch expire after two of 24 hours, if it does"""
_NOT_SENT: Final = Attempted(AttemptOutcome.NOT_SENT)


class Passage:
    """Takes the provider batches of one provider on. *clock* is monotonic, in seconds."""

    def __init__(
        self,
        database: Database,
        served: Served,
        api: BatchApi,
        *,
        filler: Filler,
        harvest: Harvest,
        settings: LaneSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._served, self._api = database, served, api
        self._filler, self._harvest = filler, harvest
        self._settings, self._clock = settings, clock
        self._rest_until: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._cancelled: set[str] = set()
        self._unread: dict[str, int] = {}
        """by provider batch: such looks"""

    async def advance(self, one: ProviderBatch) -> None:
        """Do what is next for a provider batch, if it is time to."""
        if self._clock() < self._rest_until.get(one.id, 0.0):
            return
        match one.state:
            case "filling":  # who filled it is gone: what is in it goes
                with self._database.write() as connection:
                    close_up(connection, one.id)
            case "whole":
                await self._hand_in(one)
            case _:
                await self._look(one)

    def is_stuck(self, one: ProviderBatch, problem: str) -> None:
        """Note why it could not be taken on, and try again later."""
        self._wait(one)
        with self._database.write() as connection:
            tell(connection, one, done=one.done, problem=problem)

    async def _hand_in(self, one: ProviderBatch) -> None:
        if one.tried_s is not None and await self._may_be_there(one, one.tried_s):
            return
        if one.is_unwanted or one.is_recalled or one.is_paused:
            self._give_back(one, "called back before it was handed in")
            return
        if is_key_stopped(self._database, self._served, model=one.model):
            self._give_back(one, "its key was paused before it was handed in")
            return
        lines = self._lines(one)
        if not lines:
            self._finish(one, "nothing was left in it")
            return
        await self._create(one, Handed(one.id, one.model, Endpoint(one.endpoint), lines))

    async def _may_be_there(self, one: ProviderBatch, tried_s: float) -> bool:
        """Look for one that was handed in when nobody saw whether it came there."""
        found = await self._api.find(self._sought(one))
        if isinstance(found, Refusal):
            self._rest(one, found)
        elif found is not None:
            self._is_there(one, found)
        elif not self._has_key(one):
            self._is_anothers(one)
        elif tried_s < self._settings.settle_s:
            self._wait(one)
        else:
            return False
        return True

    async def _create(self, one: ProviderBatch, handed: Handed) -> None:
        tries = one.tries

        def may() -> bool:
            nonlocal tries
            is_mine = self._intend(one)
            tries += is_mine
            return is_mine

        made = await self._api.create(handed, may=may)
        if isinstance(made, str):
            self._is_there(one, made)
        elif made is not None and self._is_ours(one, tries):
            self._is_refused(one, made)

    def _intend(self, one: ProviderBatch) -> bool:
        with self._database.write() as connection:
            return intend(connection, one, fingerprint=self._served.fingerprint)

    def _is_ours(self, one: ProviderBatch, tries: int) -> bool:
        """Tell whether nobody else took it on while it went up: a refusal says nothing of that."""
        with self._database.read() as connection:
            there = open_provider_batches(connection, batch_id=one.batch_id)
        return any(
            (other.id, other.state, other.tries) == (one.id, "whole", tries) for other in there
        )

    def _is_there(self, one: ProviderBatch, provider_id: str) -> None:
        with self._database.write() as connection:
            sent(connection, one.id, provider_id)
        self._waits.pop(one.id, None)
        _log.info("handed in", provider_batch=one.id, jobs=one.jobs, provider_id=provider_id)

    def _is_refused(self, one: ProviderBatch, refusal: Refusal) -> None:
        """Take in that it was not handed in, or perhaps not."""
        match refusal.kind:
            case ErrorKind.MONEY | ErrorKind.KEY:
                stop_key(self._database, self._served, refusal)
                self._give_back(one, what(refusal))
            case _ if refusal.code == FULL:
                self._has_no_room(one)
            case ErrorKind.REQUEST | ErrorKind.BAD_RESPONSE:
                self._let_go(one, refusal)
            case ErrorKind.RATE | ErrorKind.DAILY:
                self._is_not_there(one, refusal)
            case ErrorKind.UNKNOWN | ErrorKind.TRANSIENT | ErrorKind.OVERLOADED:
                if refusal.kind is ErrorKind.TRANSIENT and refusal.http_status is None:
                    self._is_not_there(one, refusal)  # there was no connection
                else:
                    self._rest(one, refusal)
            case _:
                assert_never(refusal.kind)

    def _is_not_there(self, one: ProviderBatch, refusal: Refusal) -> None:
        with self._database.write() as connection:
            not_there(connection, one.id, what(refusal))
        self._rest(one, refusal)

    async def _look(self, one: ProviderBatch) -> None:
        provider_id = one.provider_id or ""
        is_called_back = one.is_unwanted or one.is_recalled or self._lasts(one, _OVERDUE)
        if is_called_back and one.id not in self._cancelled:
            refusal = await self._api.cancel(provider_id)
            if refusal is None:
                self._cancelled.add(one.id)
        standing = await self._api.look(provider_id)
        if isinstance(standing, Refusal):
            self._is_unseen(one, standing)
            return
        match standing.stage:
            case Stage.WORKING if self._lasts(one, _LOST_AFTER):
                self._is_lost(one, _STUCK)
            case Stage.WORKING:
                self._unread.pop(one.id, None)
                with self._database.write() as connection:
                    tell(connection, one, done=standing.done, problem=None)
                self._wait(one)
            case Stage.REFUSED:
                self._was_refused(one, standing)
            case Stage.ENDED:
                refusal = await self._harvest.bring_in(one, standing)
                if refusal is None:
                    self._finish(one, standing.problem)
                else:
                    self._is_unread(one, refusal)
            case _:
                assert_never(standing.stage)

    def _is_unseen(self, one: ProviderBatch, refusal: Refusal) -> None:
        """Take in that the provider did not show it."""
        if self._is_forsaken(one, refusal):
            self._is_lost(one, refusal)
        elif refusal.http_status != _GONE:
            self._rest(one, refusal)
        elif self._has_key(one):
            self._is_unread(one, refusal)
        else:
            self._is_anothers(one)

    def _has_key(self, one: ProviderBatch) -> bool:
        """Tell whether it was handed in by our key: another account's batches are not shown."""
        return one.fingerprint == self._served.fingerprint

    def _is_anothers(self, one: ProviderBatch) -> None:
        """Wait for the key that is shown what it handed in, until all of that has ended."""
        if one.is_unwanted or self._lasts(one):
            self._is_lost(one, _ANOTHERS)
        else:
            self._rest(one, _ANOTHERS)

    def _is_forsaken(self, one: ProviderBatch, refusal: Refusal) -> bool:
        """Tell whether nobody wants it who could give its key its rights back, and it has ended."""
        return refusal.kind is ErrorKind.KEY and one.is_unwanted and self._lasts(one)

    def _lasts(self, one: ProviderBatch, windows: int = 1) -> bool:
        """Tell whether it was handed in longer ago than so many windows."""
        return (one.tried_s or 0.0) > windows * self._settings.window_s

    def _is_unread(self, one: ProviderBatch, refusal: Refusal) -> None:
        """Take in that it was not found, or its results not read, and perhaps never will."""
        looks = self._unread.get(one.id, 0) + (refusal.kind in _FINAL)
        if looks < _LOOKS and not self._is_forsaken(one, refusal):
            self._unread[one.id] = looks
            self._rest(one, refusal)
        else:
            self._is_lost(one, refusal)

    def _is_lost(self, one: ProviderBatch, refusal: Refusal) -> None:
        """Give up what may have been answered, and billed."""
        _log.error("results lost", provider_batch=one.id, reason=refusal.message)
        self._harvest.end_missing(one, _LOST)
        self._finish(one, what(refusal))

    def _was_refused(self, one: ProviderBatch, standing: Standing) -> None:
        """Take in that the provider looked at it, and did nothing of it."""
        refusal = standing.refusal or Refusal(ErrorKind.REQUEST, "the batch API refused it")
        if refusal.code == FULL:
            self._has_no_room(one)
        elif refusal.kind in (ErrorKind.MONEY, ErrorKind.KEY):
            stop_key(self._database, self._served, refusal)
            self._give_back(one, what(refusal))
        elif standing.bad_lines and not self._harvest.holds_all(one):
            self._give_back(one, what(refusal))  # some have ended, and lines count so no more
        elif self._harvest.fail_lines(one, standing.bad_lines, refusal):
            self._give_back(one, what(refusal))
        else:
            self._let_go(one, refusal)

    def _has_no_room(self, one: ProviderBatch) -> None:
        self._filler.is_refused_for_size(one)
        self._give_back(one, FULL)

    def _let_go(self, one: ProviderBatch, refusal: Refusal) -> None:
        """Let its jobs be asked live: the provider does not take it."""
        _log.error("not taken", provider_batch=one.id, reason=refusal.message)

        def go(inside: InBatch) -> Closing:
            kept = endings.keep(inside.job.job_id, inside.fence, _NOT_SENT)
            return replace(kept, state=JobState.WAITING, delay_s=0.0)

        self._end_all(one, go)
        self._finish(one, what(refusal))

    def _give_back(self, one: ProviderBatch, problem: str) -> None:
        """Put its jobs back to be done, at no cost to them."""
        self._end_all(one, lambda job: endings.keep(job.job.job_id, job.fence, _NOT_SENT))
        self._finish(one, problem)

    def _end_all(self, one: ProviderBatch, ending: Callable[[InBatch], Closing]) -> None:
        while page := self._page(one, 0):
            store(self._database, [ending(inside) for inside in page], owner=one.id)

    def _finish(self, one: ProviderBatch, problem: str | None) -> None:
        with self._database.write() as connection:
            end(connection, one.id, problem)
        self._rest_until.pop(one.id, None)
        self._waits.pop(one.id, None)
        self._cancelled.discard(one.id)
        self._unread.pop(one.id, None)
        _log.info("ended", provider_batch=one.id, problem=problem)

    def _lines(self, one: ProviderBatch) -> list[bytes]:
        lines, after = [], 0
        while page := self._page(one, after):
            for inside in page:
                body: dict[str, Any] = msgspec.json.decode(inside.job.body)
                call = Call(one.model, body, custom_id(inside), 0.0, endpoint_of(body))
                lines.append(self._api.line(call))
            after = page[-1].job.job_id
        return lines

    def _sought(self, one: ProviderBatch) -> Sought:
        names, after = set(), 0
        while page := self._page(one, after):
            names |= {custom_id(inside) for inside in page}
            after = page[-1].job.job_id
        with self._database.read() as connection:
            others = known_at(connection, one, over_s=2 * self._settings.window_s)
        return Sought(one.id, len(names), one.made_at - _SKEW, others, names)

    def _page(self, one: ProviderBatch, after: int) -> list[InBatch]:
        with self._database.read() as connection:
            return jobs_in(connection, one.id, after=after, most=_PAGE)

    def _rest(self, one: ProviderBatch, refusal: Refusal) -> None:
        """Note what the provider said, and try again later."""
        _log.warning("to be tried again", provider_batch=one.id, reason=refusal.message)
        with self._database.write() as connection:
            tell(connection, one, done=one.done, problem=what(refusal))
        self._wait(one, least_s=refusal.retry_after_s or 0.0)

    def _wait(self, one: ProviderBatch, *, least_s: float = 0.0) -> None:
        """Leave it alone for a while, and for longer each time."""
        wait = self._waits.get(one.id, self._settings.poll_s)
        self._waits[one.id] = min(wait * _LONGER, self._settings.poll_max_s)
        self._rest_until[one.id] = self._clock() + max(wait, least_s)
