"""How a live call goes, as its client waits for it: what is heard of the answer, and its end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from promptmill.gateway.context import Gateway
from promptmill.gateway.live import LiveCall, Reply, refusal
from promptmill.schema.database import DatabaseError, is_passing
from promptmill.schema.errors import ServiceError, UsageError
from promptmill.schema.moves.queueing import Queued
from promptmill.workers.providers.listener import Listener, Piece

_log = structlog.get_logger(__name__)
_FIRST_LOOK_S, _LAST_LOOK_S = 0.03, 0.5
_LOOK_SHARE = 0.1
"""of what it has waited so far, a call waits until the next look"""
_TIMER_S = 0.005
"""a timer may be early by less"""
_AWAY_S = 90.0
"""SQL may be away for so long before a call is given up, which may be made all the same: a restart
or a failover takes less"""
_FIRST_AGAIN_S, _LAST_AGAIN_S = 0.5, 15.0
_BROKEN = "The answer broke off. It is not asked for again, since some of it was heard."


class Course:
    """One live call. For the server's loop. Whoever begins it calls `leave` in the end."""

    def __init__(self, gateway: Gateway, call: LiveCall, *, hears: bool) -> None:
        """*hears*: its client wants the words as they come."""
        self._gateway, self._call = gateway, call
        self._listener = Listener(self._hear) if hears else None
        self._heard = deque[Piece]()
        self._news = asyncio.Event()
        self._beginning: asyncio.Task[Queued | None] | None = None
        self._making: asyncio.Task[None] | None = None
        self._has_left = False
        self._away_since: float | None = None

    async def begin(self, body: dict[str, Any]) -> None:
        """Store the call, and begin to make it, where that is ours to do. Raises ApiError."""
        answering = self._gateway.answering
        providers = await answering.open()
        self._beginning = asyncio.create_task(run_in_threadpool(self._call.begin, body, providers))
        # A client that leaves meanwhile ends our waiting only: the thread goes on.
        job = await asyncio.shield(self._beginning)
        if job is not None:
            answering.take(job)
            self._making = answering.spawn(self._make(job))
            self._making.add_done_callback(lambda _: self._news.set())

    async def steps(
        self, is_gone: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[Piece | Reply | None]:
        """Yield what is heard, None where there is nothing yet, and at last the reply.

        Nobody waits longer than the client, nor longer than the settings say for the first word.
        """
        began, most_s = monotonic(), self._gateway.settings.gateway.live_s
        while self._has_begun or monotonic() - began < most_s:
            self._news.clear()
            is_made = self._making is None or self._making.done()
            while self._heard:
                yield self._heard.popleft()
            reply = await self._look() if is_made else None
            yield reply
            if reply is not None or await is_gone():
                return
            waited = monotonic() - began
            await self._news_within(min(_LAST_LOOK_S, max(_FIRST_LOOK_S, _LOOK_SHARE * waited)))
        yield refusal(504, f"There was no answer within {most_s:g} s.", code="timeout")

    def leave(self) -> None:
        """Wait no more. What was not sent yet is not sent, and what streams is ended."""
        if not self._has_left:
            self._has_left = True
            self._gateway.answering.spawn(self._leave())

    async def _leave(self) -> None:
        if self._beginning is not None:
            await asyncio.gather(self._beginning, return_exceptions=True)
        await self._cancel()
        if self._listener is not None:
            self._listener.leave()

    @property
    def _has_begun(self) -> bool:
        """Whether some of the answer was heard: from here on it cannot be another one."""
        return self._listener is not None and self._listener.has_heard

    async def _make(self, job: Queued) -> None:
        """Make the call, and again as long as that is to be done at once and nothing was heard.

        What has to wait for longer is the dispatcher's, and workers make it.
        """
        while True:
            report = await self._gateway.answering.complete(job, self._listener)
            if self._has_left:
                await self._cancel()  # or it would be tried again
                return
            if self._has_begun or not (report.turned or report.retry_in_s is not None):
                return
            await asyncio.sleep((report.retry_in_s or 0.0) + _TIMER_S)
            try:
                again = await run_in_threadpool(self._call.again)
            except (DatabaseError, ServiceError):
                return  # the dispatcher finds it
            if again is None:
                return
            self._gateway.answering.take(again)
            job = again

    async def _look(self) -> Reply | None:
        try:
            reply = await run_in_threadpool(self._call.look)
        except (DatabaseError, ServiceError) as error:
            return self._away(error)
        self._away_since = None
        if reply is None and self._has_begun:
            return refusal(502, _BROKEN, code="stream_broken")
        return reply

    def _away(self, error: Exception) -> Reply | None:
        """Say that SQL is away, where that is for long."""
        now = monotonic()
        if self._away_since is None:
            self._away_since = now
            _log.warning("sql away", error=type(error).__name__)
        if is_passing(error) and now - self._away_since < _AWAY_S:
            return None
        return refusal(503, "The gateway cannot reach its database.", code="unavailable")

    async def _cancel(self) -> None:
        """Take the call back; while SQL is away, until it is there again."""
        again_s = _FIRST_AGAIN_S
        while True:
            try:
                await run_in_threadpool(self._call.cancel)
            except (DatabaseError, ServiceError, UsageError) as error:
                _log.warning("not taken back", error=type(error).__name__)
                if not is_passing(error):
                    return
            else:
                return
            await asyncio.sleep(again_s)
            again_s = min(_LAST_AGAIN_S, 2 * again_s)

    async def _news_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _hear(self, piece: Piece) -> None:
        self._heard.append(piece)
        self._news.set()
