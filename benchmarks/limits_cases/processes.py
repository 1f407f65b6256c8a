"""Processes that all begin at one moment."""

import asyncio
import multiprocessing
import sys
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.synchronize import Barrier
from time import monotonic
from typing import TypeVar

import structlog

T = TypeVar("T")
Work = Callable[..., Awaitable[list[T]]]
"""What one process does, called with `until`, on the monotonic clock. It can be pickled."""
_START_S = 60.0
"""a process imports for a second or two; on a busy machine for longer"""

_start: Barrier


def run_together(
    works: Sequence[Work[T]],
    seconds: float,
    *,
    meanwhile: Callable[[float], object] = lambda _begin: None,
) -> tuple[float, list[T]]:
    """Run each of *works* in a process of its own for *seconds*; return when, and all that came.

    They begin together. *meanwhile* is called in this process, with the moment of it, which is on
    the monotonic clock: the processes of a machine share that.
    """
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(len(works) + 1)
    with context.Pool(len(works), initializer=_keep, initargs=(start,)) as pool:
        coming = pool.map_async(_run, [(work, seconds) for work in works], chunksize=1)
        start.wait(_START_S)
        begin = monotonic()
        meanwhile(begin)
        return begin, [each for part in coming.get() for each in part]


def _keep(start: Barrier) -> None:
    global _start  # noqa: PLW0603  a barrier reaches a process only while that is made
    _start = start
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout: JSON


def _run(job: tuple[Work[T], float]) -> list[T]:
    work, seconds = job
    _start.wait(_START_S)
    return asyncio.run(_until(work, monotonic() + seconds))


async def _until(work: Work[T], until: float) -> list[T]:
    return await work(until=until)
