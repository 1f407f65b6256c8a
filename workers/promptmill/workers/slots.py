"""The calls that a process may have open: a slot each, or all slots for one that must be alone."""

import asyncio
from collections import deque


class Slots:
    """Given out in the order they were asked for, so who needs all of them gets them in time.

    For one event loop.
    """

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, *, alone: bool = False) -> None:
        """Wait for a slot; *alone*: for all of them, so that nothing else is open meanwhile."""
        needs = self._count if alone else 1
        if not self._waiting and needs <= self._free:
            self._free -= needs
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((needs, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given to us in the same moment
                self._free += needs
            self._give()
            raise

    def release(self, *, alone: bool = False) -> None:
        """Give back what was acquired the same way."""
        self._free += self._count if alone else 1
        self._give()

    def _give(self) -> None:
        while self._waiting:
            needs, turn = self._waiting[0]
            if not turn.cancelled():
                if needs > self._free:
                    return
                self._free -= needs
                turn.set_result(None)
            self._waiting.popleft()
