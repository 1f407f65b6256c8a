"""Slots are given in turn, and one who must be alone gets all of them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from promptmill.workers.slots import Slots


class Desk:
    """Writes down who has a slot, and lets each go on when told."""

    def __init__(self, count: int) -> None:
        self.slots, self.inside = Slots(count), list[str]()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.leave: dict[str, asyncio.Event] = {}

    async def come(self, name: str, *, alone: bool = False) -> None:
        self.leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, alone=alone))
        await settle()

    async def go(self, name: str) -> None:
        self.leave[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await settle()

    async def _stay(self, name: str, *, alone: bool) -> None:
        await self.slots.acquire(alone=alone)
        self.inside.append(name)
        try:
            await self.leave[name].wait()
        finally:
            self.inside.remove(name)
            self.slots.release(alone=alone)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def one_waits_until_another_leaves() -> None:
    desk = Desk(2)
    for name in ("a", "b", "c"):
        await desk.come(name)
    assert desk.inside == ["a", "b"]
    await desk.go("a")
    assert desk.inside == ["b", "c"]


async def who_is_alone_waits_for_all_and_nobody_overtakes() -> None:
    desk = Desk(2)
    await desk.come("a")
    await desk.come("alone", alone=True)
    await desk.come("b")
    assert desk.inside == ["a"]
    await desk.go("a")
    assert desk.inside == ["alone"]
    await desk.go("alone")
    assert desk.inside == ["b"]


async def of_two_that_are_alone_each_has_its_turn() -> None:
    desk = Desk(3)
    for name in ("one", "two"):
        await desk.come(name, alone=True)
    assert desk.inside == ["one"]
    await desk.go("one")
    assert desk.inside == ["two"]


async def who_gives_up_waiting_holds_up_nobody() -> None:
    desk = Desk(2)
    await desk.come("a")
    await desk.come("alone", alone=True)
    await desk.come("b")
    await desk.cancel("alone")
    assert desk.inside == ["a", "b"]


async def who_is_cancelled_as_its_turn_comes_gives_it_on() -> None:
    desk = Desk(1)
    for name in ("a", "b", "c"):
        await desk.come(name)
    desk.leave["a"].set()
    await asyncio.sleep(0)
    assert desk.inside == [], "it has left, and the next one does not know yet"
    await desk.cancel("b")
    assert desk.inside == ["c"]


@pytest.mark.parametrize(
    "story",
    [
        one_waits_until_another_leaves,
        who_is_alone_waits_for_all_and_nobody_overtakes,
        of_two_that_are_alone_each_has_its_turn,
        who_gives_up_waiting_holds_up_nobody,
        who_is_cancelled_as_its_turn_comes_gives_it_on,
    ],
)
def test_slots(story: Callable[[], Awaitable[None]]) -> None:
    async def tell() -> None:
        before = asyncio.all_tasks()
        await story()
        left = asyncio.all_tasks() - before
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    asyncio.run(tell())
