"""Work that is cheaper together: what many coroutines ask for goes to SQL as one group.

A group closes when it has enough rows, or when its first row has waited long enough. One thread
runs the groups one after the other, so a slow disk never stops the loop.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Ask = TypeVar("Ask")
Told = TypeVar("Told")


class Grouping(Generic[Ask, Told]):
    """Hands groups of asks to *run*, in a thread, and its answers back to who asked.

    *run* takes a group and returns one answer for each ask, in order; an answer that is an
    exception is raised to its asker. An exception from *run* itself is raised to the whole group.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Ask]], Sequence[Told | Exception]],
        *,
        name: str,
        most: int,
        wait_s: float,
    ) -> None:
        self._run, self._most, self._wait_s = run, most, wait_s
        self._changed = threading.Condition()
        self._asked: list[tuple[Ask, asyncio.Future[Told]]] = []
        self._stopping = False
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, ask: Ask) -> "asyncio.Future[Told]":
        """Put *ask* into the next group; its answer is to be awaited.

        What was asked is done even when the asker is cancelled while it waits. Raises RuntimeError
        where nobody is there to do it any more.
        """
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._stopped:
                msg = f"{self._thread.name} has stopped"
                raise RuntimeError(msg)
            self._asked.append((ask, future))
            if len(self._asked) in (1, self._most):
                self._changed.notify()
        return future

    async def ask(self, ask: Ask) -> Told:
        """Put *ask* into the next group and wait for its answer."""
        return await self.put(ask)

    def stop(self, timeout_s: float) -> bool:
        """Run what was asked, then end the thread. False if it had not ended in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while group := self._next_group():
            answers: Sequence[Told | Exception]
            try:
                answers = self._run([ask for ask, _future in group])
            except Exception as error:  # noqa: BLE001  told to every asker, who decides
                answers = [error] * len(group)
            _tell([future for _ask, future in group], answers)

    def _next_group(self) -> list[tuple[Ask, asyncio.Future[Told]]]:
        with self._changed:
            while not self._asked and not self._stopping:
                self._changed.wait()
            if len(self._asked) < self._most and not self._stopping:
                self._changed.wait(self._wait_s)
            group, self._asked = self._asked[: self._most], self._asked[self._most :]
            self._stopped = not group
            return group


def _tell(futures: list[asyncio.Future[Told]], answers: Sequence[Told | Exception]) -> None:
    loop = futures[0].get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(_set, futures, answers)


def _set(futures: list[asyncio.Future[Told]], answers: Sequence[Told | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
