import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from promptmill.workers.grouping import Grouping
from tests.services.waiting import wait_until

FAR_S = 60.0


class Groups:
    """Doubles numbers; tells which groups came, and holds them back while `gate` is closed."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._open: list[Grouping[int, int]] = []

    @property
    def asked(self) -> list[int]:
        return [ask for group in self.seen for ask in group]

    def grouping(self, *, most: int = 50, wait_s: float = 0.01) -> Grouping[int, int]:
        grouping: Grouping[int, int] = Grouping(self._run, name="test", most=most, wait_s=wait_s)
        self._open.append(grouping)
        return grouping

    def _run(self, asks: Sequence[int]) -> list[int | Exception]:
        self.seen.append(list(asks))
        self.gate.wait(10)
        if 0 in asks:
            msg = "the group is refused"
            raise ValueError(msg)
        return [ValueError(f"no {ask}") if ask < 0 else 2 * ask for ask in asks]

    def stop(self) -> None:
        self.gate.set()
        for grouping in self._open:
            assert grouping.stop(10)


@pytest.fixture
def groups() -> Iterator[Groups]:
    groups = Groups()
    yield groups
    groups.stop()


async def ask_all(grouping: Grouping[int, int], asks: Sequence[int]) -> list[Any]:
    return await asyncio.gather(*(grouping.ask(ask) for ask in asks), return_exceptions=True)


def test_each_asker_gets_its_own_answer(groups: Groups) -> None:
    asks = list(range(1, 200))
    assert asyncio.run(ask_all(groups.grouping(), asks)) == [2 * ask for ask in asks]


def test_a_group_closes_when_it_is_full(groups: Groups) -> None:
    asyncio.run(ask_all(groups.grouping(most=3, wait_s=FAR_S), [1, 2, 3]))
    assert groups.seen == [[1, 2, 3]]


def test_a_group_that_does_not_fill_closes_by_time(groups: Groups) -> None:
    asyncio.run(ask_all(groups.grouping(most=50, wait_s=0.01), [1, 2]))
    assert groups.seen == [[1, 2]]


def test_no_group_is_larger_than_allowed(groups: Groups) -> None:
    groups.gate.clear()
    grouping = groups.grouping(most=4)

    async def ask_more_than_one_group() -> None:
        asked = asyncio.create_task(ask_all(grouping, range(1, 12)))
        await asyncio.to_thread(wait_until, lambda: groups.seen, "the first group")
        groups.gate.set()
        await asked

    asyncio.run(ask_more_than_one_group())
    assert max(map(len, groups.seen)) <= 4
    assert sorted(groups.asked) == list(range(1, 12))


def test_an_error_of_one_row_reaches_its_asker_only(groups: Groups) -> None:
    answers = asyncio.run(ask_all(groups.grouping(), [1, -2, 3]))
    assert [str(answer) for answer in answers] == ["2", "no -2", "6"]


def test_an_error_of_the_group_reaches_all_its_askers_and_the_next_group_goes_on(
    groups: Groups,
) -> None:
    grouping = groups.grouping(most=2, wait_s=FAR_S)

    async def ask_twice() -> tuple[list[Any], list[Any]]:
        return await ask_all(grouping, [0, 1]), await ask_all(grouping, [2, 3])

    first, second = asyncio.run(ask_twice())
    assert [type(answer) for answer in first] == [ValueError, ValueError]
    assert second == [4, 6]


def test_what_a_cancelled_asker_asked_is_done_all_the_same(groups: Groups) -> None:
    grouping = groups.grouping()

    async def ask_and_go() -> None:
        asked = asyncio.create_task(grouping.ask(7))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await grouping.ask(8) == 16

    asyncio.run(ask_and_go())
    assert 7 in groups.asked


def test_stop_runs_what_was_asked_before(groups: Groups) -> None:
    groups.gate.clear()
    grouping = groups.grouping(most=1)

    async def stop_with_asks_open() -> list[Any]:
        asked = asyncio.create_task(ask_all(grouping, [1, 2, 3]))
        await asyncio.to_thread(wait_until, lambda: groups.seen, "the first group")
        groups.gate.set()
        assert await asyncio.to_thread(grouping.stop, 10)
        return await asked

    assert asyncio.run(stop_with_asks_open()) == [2, 4, 6]


def test_who_asks_after_the_stop_is_told_and_does_not_wait_for_ever(groups: Groups) -> None:
    grouping = groups.grouping()

    async def ask_late() -> None:
        assert await asyncio.to_thread(grouping.stop, 10)
        async with asyncio.timeout(5):
            await grouping.ask(1)

    with pytest.raises(RuntimeError, match="stopped"):
        asyncio.run(ask_late())
