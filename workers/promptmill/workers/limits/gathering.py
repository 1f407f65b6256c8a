"""Calls of many tasks, sent together: while one is under way the next ones gather."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")

AT_ONCE = 256


class Gathering(Generic[Asked, Told]):
    """Asks for whoever came while the last call was under way, in one call.

    A caller that is cancelled still has its question asked: what is under way is not taken back.
    """

    def __init__(self, send: Callable[[Sequence[Asked]], Awaitable[Sequence[Told]]]) -> None:
        self._send = send
        self._gathered: list[tuple[Asked, asyncio.Future[Told]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Asked) -> Told:
        """Send *question* with the next call, and return its answer. Raises what sending raises."""
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._gathered.append((question, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="limits-gathering")
        return await future

    async def _run(self) -> None:
        try:
            while self._gathered:
                now, self._gathered = self._gathered[:AT_ONCE], self._gathered[AT_ONCE:]
                await self._send_all(now)
        finally:
            self._task = None

    async def _send_all(self, gathered: Sequence[tuple[Asked, asyncio.Future[Told]]]) -> None:
        try:
            answers = await self._send([question for question, _ in gathered])
        except Exception as error:  # noqa: BLE001  each of the callers hears of it
            for _, future in gathered:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(gathered, answers, strict=True):
            if not future.done():
                future.set_result(answer)
