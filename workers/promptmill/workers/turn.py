"""A turn: a slot of this process, and a start that the limits allow.

Neither waits long for the other: bookings that waited for slots would fill the limiter's cap, and
slots that wait for a booking would be free for nobody.

A slot is free for the next turn when an answer is here: one is stored while the other is claimed.
But a call only goes out once the one before it is stored: a crash costs no more calls than slots.
"""

import asyncio
from contextlib import suppress

from promptmill.workers.bench import Bench
from promptmill.workers.limits.desk import LATE_S
from promptmill.workers.limits.limit import Booked, Estimate, Postponed, Scope, TooLarge
from promptmill.workers.providers.base import Answer, Refusal, charged

CLAIM_LEAD_S = 0.015
"""How long before its booked start the intent of a call is committed: about one group commit."""
SOON_S = 2.0
"""How long a job may wait for its start in a slot, or claimed."""
AT_ONCE_S = 0.25
"""How long a slot is held while the limiter is asked."""
BULK_HORIZON_S = 2.0
URGENT_HORIZON_S = 10.0
"""How far ahead a start may be booked: who may book further ahead goes first."""
PATIENCE_S = 30.0
"""How long a job waits in this process for its turn."""

_Answer = Booked | Postponed | TooLarge


class Turn:
    """The turn of one job. *alone*: it takes every slot, in case that it kills this process."""

    def __init__(
        self, bench: Bench, scope: Scope, expected: Estimate, *, urgent: bool, alone: bool
    ) -> None:
        self.scope = scope
        self._bench, self._expected, self._alone = bench, expected, alone
        self._horizon_s = URGENT_HORIZON_S if urgent else BULK_HORIZON_S
        self._booked: Booked | None = None
        self._has_slot = self._may_call = False

    async def take(self) -> _Answer:
        """Take a slot and book a start; both are held only where a start is returned."""
        while True:
            answer = await self._book_in_a_slot()
            if self._has_slot or self._alone or isinstance(answer, TooLarge):
                return answer
            if not isinstance(answer, Booked):
                answer = await self._book(PATIENCE_S)
            if not isinstance(answer, Booked) or await self._slot_until(answer.start + LATE_S):
                return answer
            await self.give_back()

    async def enter(self) -> None:
        """Wait until one call less is open or to be stored than this process has slots."""
        if not self._may_call:
            await self._bench.calls.acquire(alone=self._alone)
            self._may_call = True

    async def confirm(self, booked: Booked) -> Booked | None:
        """Wait for the start and confirm it; once late, take another start if that is close.

        A busy process is late without any limit being full: it need not give its claim back then.
        """
        await self.enter()
        await sleep_until(booked.start)
        if await self._confirmed(booked):
            return booked
        await self.give_back()
        again = await self._book(SOON_S)
        if not isinstance(again, Booked):
            return None
        if not _is_soon(again):
            await self.give_back()
            return None
        await sleep_until(again.start)
        return again if await self._confirmed(again) else None

    async def settle(self, reply: Answer | Refusal) -> None:
        """Correct the booking to what the call used. Acts once."""
        if self._booked is not None:
            booked, self._booked = self._booked, None
            await self._bench.permits.settle(booked, charged(reply))
            await self._bench.permits.observe(booked.scope, reply.limits)

    async def give_back(self) -> None:
        """Give the booking back, where there is one that nothing was sent for."""
        if self._booked is not None:
            booked, self._booked = self._booked, None
            await self._bench.permits.cancel(booked)

    def release_slot(self) -> None:
        """Give the slot back, where there is one: nothing is to be sent in it any more."""
        if self._has_slot:
            self._has_slot = False
            self._bench.slots.release(alone=self._alone)

    def release(self) -> None:
        """Give all back: what came is stored."""
        self.release_slot()
        if self._may_call:
            self._may_call = False
            self._bench.calls.release(alone=self._alone)

    async def _book_in_a_slot(self) -> _Answer:
        """Take a slot and book; keep it for a start that is soon, or, alone, for any start."""
        await self._bench.slots.acquire(alone=self._alone)
        self._has_slot = True
        keeps = False
        try:
            answer = await self._book(PATIENCE_S if self._alone else AT_ONCE_S)
            keeps = isinstance(answer, Booked) and (self._alone or _is_soon(answer))
        finally:
            if not keeps:
                self.release_slot()
        return answer

    async def _slot_until(self, when: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._bench.slots.acquire(alone=self._alone)
            self._has_slot = True
        return self._has_slot

    async def _book(self, patience_s: float) -> _Answer:
        answer = await self._bench.permits.book(
            self.scope, self._expected, horizon_s=self._horizon_s, patience_s=patience_s
        )
        self._booked = answer if isinstance(answer, Booked) else None
        return answer

    async def _confirmed(self, booked: Booked) -> bool:
        """Ask whether to send, and be in time when the answer is here: this process may stall."""
        go = await self._bench.permits.confirm(booked)
        return go and asyncio.get_running_loop().time() <= booked.start + LATE_S


def _is_soon(booked: Booked) -> bool:
    return booked.start - asyncio.get_running_loop().time() <= SOON_S


async def sleep_until(when: float) -> None:
    """Wait until *when* on the loop's clock, and never less: uvloop's timers count whole ms."""
    loop = asyncio.get_running_loop()
    while (seconds := when - loop.time()) > 0:  # noqa: ASYNC110  time is waited for, no event
        await asyncio.sleep(seconds)
