"""cost: what a booking costs the server and its caller.

CPU of Valkey's main thread for a booking with four dimensions, against a script that only returns 1
and is called by the same client, in turns, medians over the rounds. `together`: 64 callers in one
process, as workers ask under load, where one script call books for many; the rate on one core
follows from it. `alone`: one caller, so a booking is a script call of its own. The demand is on
both, and alone it is missed: `commands_alone`, a script of the five commands that no booking can do
without (the time, both states, the calls in flight, the lease, the state again) and nothing else,
takes 1.7 to 2.3 of the 2.5 by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from statistics import median
from time import monotonic
from typing import Any

from benchmarks.common.figures import at_least, at_most, judged, percentile
from benchmarks.limits_cases.plan import Plan
from benchmarks.limits_cases.store import Store
from benchmarks.limits_cases.turns import open_permits
from promptmill.schema.limit_state import HOT, SIZE
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.limit import Booked, Dimension, Estimate, Scope
from promptmill.workers.limits.permits import Permits

DIMENSIONS = (Dimension.RPM, Dimension.ITPM, Dimension.OTPM, Dimension.RPD)
SCOPE = Scope("anthropic", "m", "a", tuple((each, 1e12) for each in DIMENSIONS), 100_000)
"""limits that are never reached: a booking is never refused, and starts at once"""
ESTIMATE, USAGE = Estimate(800, 300), Usage(800, 200)
CALLERS = 64
_HOT = b"1" * HOT * 8
COMMANDS = """
redis.call('TIME')
redis.call('MGET', KEYS[1], KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('ZADD', KEYS[3], 'NX', 6e13, ARGV[1])
redis.call('SETRANGE', KEYS[1], 0, ARGV[2])
return 1"""
A_ROUND = 320
"""bookings; as many are in flight at its end"""


@dataclass(slots=True)
class Rounds:
    """CPU of the server for one call, in us, by what was called; one entry a round."""

    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    booked_in_s: list[float] = field(default_factory=list)
    """what `Permits.book` took, alone"""

    def of(self, name: str) -> float:
        """Return the median of *name*."""
        return median(self.cpu_us[name])


def cost(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure in rounds, each thing in each."""
    seconds = plan.seconds_or(20.0)
    with Store() as store:
        rounds = asyncio.run(_measure(store, seconds))
    floor, floor_together = rounds.of("floor"), rounds.of("floor_together")
    alone, together = rounds.of("book"), rounds.of("book_together")
    waits = sorted(rounds.booked_in_s)
    figures = {
        "rounds": len(rounds.cpu_us["floor"]),
        "cpu_us_return_1": floor,
        "cpu_us_book_alone": alone,
        "cpu_ratio_alone": alone / floor,
        "cpu_ratio_commands_alone": rounds.of("commands") / floor,
        "cpu_us_return_1_together": floor_together,
        "cpu_us_book_together": together,
        "cpu_ratio_together": together / floor_together,
        "bookings_a_second_of_one_core": 1e6 / together,
        "cpu_us_confirm": rounds.of("confirm"),
        "cpu_us_settle": rounds.of("settle"),
        "client_p50_ms": percentile(waits, 0.5) * 1000,
        "client_p99_ms": percentile(waits, 0.99) * 1000,
    }
    demands = {
        "cpu_ratio_alone": at_most(2.5),
        "cpu_ratio_together": at_most(2.5),
        "bookings_a_second_of_one_core": at_least(15_000),
        "client_p99_ms": at_most(1.0),
    }
    yield judged("cost", figures, demands)


async def _measure(store: Store, seconds: float) -> Rounds:
    kind = ProviderKind.ANTHROPIC
    async with (
        open_permits(store.url, scope=SCOPE, kind=kind) as permits,
        connect(store.url) as redis,
    ):
        rounds = Rounds()
        floor = redis.register_script("return 1")
        five, lease = redis.register_script(COMMANDS), count()

        async def commands() -> None:
            await five(keys=["cost:scope", "cost:account", "cost:leases"], args=[next(lease), _HOT])

        for key in ("cost:scope", "cost:account"):
            await redis.set(key, b"0" * SIZE * 8)
        await _round(store, permits, floor, commands, Rounds())  # scripts and connections are there
        until = monotonic() + seconds
        while not rounds.cpu_us or monotonic() < until:
            await _round(store, permits, floor, commands, rounds)
        return rounds


async def _round(
    store: Store,
    permits: Permits,
    floor: Callable[[], Awaitable[object]],
    commands: Callable[[], Awaitable[object]],
    rounds: Rounds,
) -> None:
    booked: list[Booked] = []

    async def book() -> None:
        began = monotonic()
        booking = await permits.book(SCOPE, ESTIMATE)
        waits.append(monotonic() - began)
        if not isinstance(booking, Booked):
            msg = f"a limit that is never reached was: {booking}"
            raise TypeError(msg)
        booked.append(booking)

    async def confirm() -> None:
        await permits.confirm(booked[len(confirmed)])
        confirmed.append(True)

    async def settle() -> None:
        await permits.settle(booked.pop(), USAGE)

    confirmed: list[bool] = []
    waits = rounds.booked_in_s
    measure = partial(_cpu_us, store)
    for name, call, callers in (
        ("floor", floor, 1),
        ("commands", commands, 1),
        ("book", book, 1),
        ("confirm", confirm, 1),
        ("settle", settle, 1),
        ("floor_together", floor, CALLERS),
        ("book_together", book, CALLERS),
    ):
        if name == "book_together":
            waits = []
        rounds.cpu_us.setdefault(name, []).append(await measure(call, callers))
    while booked:
        await permits.settle(booked.pop(), USAGE)


async def _cpu_us(store: Store, call: Callable[[], Awaitable[object]], callers: int) -> float:
    """Call `A_ROUND` times, by *callers* at once; return the server's CPU for one."""

    async def again_and_again() -> None:
        for _ in range(A_ROUND // callers):
            await call()

    before = store.cpu_us()
    await asyncio.gather(*(again_and_again() for _ in range(callers)))
    return (store.cpu_us() - before) / A_ROUND
