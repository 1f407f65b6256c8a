"""The loop tells the time as it is, and nobody who waits for a start is early."""

from time import monotonic

from promptmill.workers.event_loop import EventLoop
from promptmill.workers.turn import sleep_until


def test_its_time_is_that_of_the_clock_however_long_ago_it_looked() -> None:
    async def compare() -> None:
        for _ in range(1000):  # uvloop's own stands still until this ends
            before = monotonic()
            assert before <= loop.time() <= monotonic()

    loop = EventLoop()
    loop.run_until_complete(compare())
    loop.close()


def test_a_start_between_two_milliseconds_is_waited_for() -> None:
    async def wait() -> None:
        for part in range(1, 40):
            start = monotonic() + part * 0.0003
            await sleep_until(start)
            assert monotonic() >= start

    loop = EventLoop()
    loop.run_until_complete(wait())
    loop.close()
