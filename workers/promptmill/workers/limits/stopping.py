"""Ending a task that talks to Redis."""

import asyncio

AGAIN_S = 0.1


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel *task* until it has ended; what it raises is not told.

    Once is not enough: where a cancellation meets a time-out of redis-py's own, it is the time-out
    that is raised, and the task goes on.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_S)
    if not task.cancelled():
        task.exception()
