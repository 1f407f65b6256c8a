"""Who waits for a turn is asked for when that is due, however slow this process is meanwhile."""

import asyncio
from collections.abc import Sequence

from promptmill.schema.provider_kinds import ProviderKind
from promptmill.workers.limits.ledger import Answer, Granted, Ledger, Refused, Request
from promptmill.workers.limits.limit import Booked, Estimate, Scope
from promptmill.workers.limits.pump import Pump, Reply, Waiter
from tests.limits.waiters import as_booked

STEP_S = 0.01
SCOPE = Scope("openai", "m", "a", limits=(), concurrency=1)
LEDGER = Ledger(SCOPE, ProviderKind.OPENAI, prefix="")
REQUEST = Request("id", Estimate(1, 1), horizon_us=2_000_000)


class SlowLoop(asyncio.SelectorEventLoop):
    """Each look at the clock takes 10 ms, as where other processes have the core."""

    looks = 0

    def time(self) -> float:
        self.looks += 1
        return super().time() + self.looks * STEP_S


def grant(waiter: Waiter, granted: Granted) -> Booked:
    return as_booked(LEDGER, waiter.request, granted)


def test_what_is_due_between_two_looks_at_the_clock_is_waited_for() -> None:
    """It slept until somebody's patience ended, since it was neither due nor still to come."""
    waits = [steps * STEP_S + STEP_S / 2 for steps in range(1, 8)]
    left = [*waits]

    async def ask(requests: Sequence[Request]) -> Sequence[Answer]:
        if left:
            return [Refused("turn", int(left.pop() * 1e6), turn=1) for _ in requests]
        return [Granted(1, 1, 1, 1, 1, ()) for _ in requests]

    async def wait() -> Reply:
        loop = asyncio.get_running_loop()
        pump = Pump(ask=ask, grant=grant, release=lambda *_: None)
        waiter = Waiter(REQUEST, loop.time() + 3600, loop.create_future())
        return await asyncio.wait_for(pump.wait(waiter), 30)

    loop = SlowLoop()
    try:
        assert isinstance(loop.run_until_complete(wait()), Booked)
    finally:
        loop.close()
