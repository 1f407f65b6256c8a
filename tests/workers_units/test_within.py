"""A future is waited for a while, and goes on whatever becomes of who waits."""

import asyncio

import pytest

from promptmill.workers.within import ended_within


def test_a_future_that_ends_soon_has_ended() -> None:
    async def scene() -> tuple[bool, bool, bool]:
        loop = asyncio.get_running_loop()
        ended, soon, failing = loop.create_future(), loop.create_future(), loop.create_future()
        ended.set_result(None)
        loop.call_soon(soon.set_result, 1)
        loop.call_soon(failing.set_exception, OSError())
        told = [await ended_within(each, 60) for each in (ended, soon, failing)]
        assert isinstance(failing.exception(), OSError)
        return told[0], told[1], told[2]

    assert asyncio.run(scene()) == (True, True, True)


def test_one_that_does_not_goes_on() -> None:
    async def scene() -> str:
        late: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        assert not await ended_within(late, 0.001)
        late.set_result("after all")
        return await late

    assert asyncio.run(scene()) == "after all"


def test_who_is_cancelled_while_it_waits_cancels_nothing() -> None:
    async def scene() -> str:
        late: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(ended_within(late, 60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        late.set_result("after all")
        return await late

    assert asyncio.run(scene()) == "after all"
