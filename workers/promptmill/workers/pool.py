"""A Celery pool whose tasks run on one asyncio loop.

Celery's tracer is sync; it runs, untouched, in a greenlet of its own for each task. Inside a task
`await_(coroutine)` switches to the loop until the coroutine is done (SQLAlchemy's greenlet_spawn
works the same way). Celery's request stack is local to a greenlet, so `self.request` and
`self.retry` work. Made through Celery's documented hook for custom pools.

What no stock pool has together: thousands of open calls in a process, acks that are not lost,
warm and cold shutdown, `revoke(terminate=True)`.
"""

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from celery.concurrency.base import BasePool, apply_target
from greenlet import getcurrent, greenlet

from promptmill.workers.event_loop import EventLoop

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_LAST_TOLD_S = 5.0

_TELL_AFTER_S = 0.005
"""how long what Celery is to be told waits for company: each thread that wakes takes the GIL"""

HEADROOM = 4
"""Tasks in hand for each call that may be open: those beyond wait for permits, not for a slot."""


class _Work(NamedTuple):
    """What Celery hands over for one task."""

    target: Callable[..., Any]
    args: Any
    kwargs: Any
    callback: Callable[[Any], None]
    accept_callback: Callable[[int, float], None] | None


class _Run(greenlet):  # type: ignore[misc]  # greenlet is untyped
    """One task's execution: the greenlet in which Celery's tracer runs."""

    awaiting: "asyncio.Future[Any] | None" = None
    terminated = False


def await_(awaitable: Awaitable[_T]) -> _T:
    """Run *awaitable* on the pool's loop and return what it returns. Only inside a task."""
    run = getcurrent()
    if not isinstance(run, _Run):
        msg = "await_() works inside a task of AsyncioPool only: start the worker with our app"
        raise RuntimeError(msg)
    result: _T = run.parent.switch(awaitable)
    return result


class AsyncioPool(BasePool):
    """Runs tasks as greenlets on one event loop, in a thread of its own."""

    signal_safe = False
    body_can_be_buffer = True
    task_join_will_block = False

    loop: asyncio.AbstractEventLoop

    def on_start(self) -> None:
        self.loop = EventLoop()
        self._active: dict[int, _Run] = {}
        self._names: dict[int, str] = {}
        self._queued: deque[tuple[int, _Work]] = deque()
        self._arrived: deque[tuple[int, _Work]] = deque()
        self._is_arriving = False
        self._numbers = itertools.count(1)
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run_loop, name="asyncio-pool", daemon=True)
        self._thread.start()
        self._untold: deque[Callable[[], None]] = deque()
        self._is_telling = self._told_all = False
        self._tellable = threading.Event()
        self._hub: Any = None
        self._teller = threading.Thread(target=self._tell, name="celery-teller", daemon=True)
        self._teller.start()

    def on_stop(self) -> None:
        """Wait for running tasks, then end the loop. Called again by a cold shutdown."""
        if self.loop.is_closed():
            return
        self._idle.wait()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self._told_all = True
        self._tellable.set()
        self._teller.join(_LAST_TOLD_S)

    def on_terminate(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        *,
        callback: Any = None,
        accept_callback: Any = None,
        correlation_id: str = "",
        **_: Any,
    ) -> None:
        self._idle.clear()
        number = next(self._numbers)
        self._names[number] = correlation_id
        self._arrived.append((number, _Work(target, args, kwargs, callback, accept_callback)))
        if not self._is_arriving:  # one call for all that come together
            self._is_arriving = True
            self.loop.call_soon_threadsafe(self._submit_arrived)

    def register_with_event_loop(self, loop: Any) -> None:
        """Take note of the loop of Celery's main thread."""
        self._hub = loop

    def terminate_job(self, pid: int, signal: Any = None) -> None:  # noqa: ARG002  Celery's name
        """Cancel what the task awaits; `pid` is the number the task was accepted under."""
        self.loop.call_soon_threadsafe(self._cancel, pid)

    def in_hand(self) -> list[str]:
        """Names (Celery ids) of all tasks that this process has taken, running or not."""
        return list(self._names.values())

    def forget_queued(self) -> None:
        """Drop tasks that have not begun; unacknowledged, they go back to the broker at close."""
        self.loop.call_soon_threadsafe(self._forget_queued)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()  # type: ignore[misc]  # not in the stubs
        return info | {"running": len(self._active), "queued": len(self._queued)}

    def _tell(self) -> None:
        """Tell Celery what was accepted and what came of it, in order, in a thread of its own.

        It acknowledges and sends events by blocking calls. On the loop, a Redis that hangs would
        stop every open call, beyond its deadline, with the answer paid for.
        """
        while not self._told_all or self._untold:
            self._tellable.wait()
            self._tellable.clear()
            while self._untold:
                tell = self._untold.popleft()
                try:
                    tell()
                except Exception:  # noqa: BLE001  an outermost loop: who comes next is told too
                    _log.exception("celery was not told")
            if self._hub is not None:
                self._hub.call_soon(_nothing)  # or it sees only later that it may take more

    # Below: on the loop's thread only.

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def _submit_arrived(self) -> None:
        self._is_arriving = False
        while self._arrived:
            self._submit(*self._arrived.popleft())

    def _submit(self, number: int, work: _Work) -> None:
        if len(self._active) >= self.limit * HEADROOM:
            self._queued.append((number, work))
        else:
            self._begin(number, work)

    def _begin(self, number: int, work: _Work) -> None:
        run = _Run(self._trace)
        self._active[number] = run
        self._step(number, run, run.switch, number, work)

    def _trace(self, number: int, work: _Work) -> None:
        run = getcurrent()

        def accept(pid: int, began: float) -> None:
            if work.accept_callback is not None:
                self._tell_soon(partial(work.accept_callback, pid, began))

        def settle(returned: Any) -> None:
            # Celery itself has settled a terminated task.
            if not run.terminated:
                self._tell_soon(partial(work.callback, returned))

        apply_target(work.target, work.args, work.kwargs, settle, accept, number)

    def _tell_soon(self, tell: Callable[[], None]) -> None:
        self._untold.append(tell)
        if not self._is_telling:
            self._is_telling = True
            self.loop.call_later(_TELL_AFTER_S, self._let_tell)

    def _let_tell(self) -> None:
        self._is_telling = False
        self._tellable.set()

    def _step(self, number: int, run: _Run, resume: Callable[..., Any], *values: Any) -> None:
        try:
            awaitable = resume(*values)
        except BaseException:  # noqa: BLE001  the outermost loop: a task must not end the worker
            if not run.terminated:
                _log.exception("task greenlet failed")
            awaitable = None
        if run.dead:
            self._end(number)
            return
        run.awaiting = asyncio.ensure_future(awaitable, loop=self.loop)
        run.awaiting.add_done_callback(lambda future: self._wake(number, run, future))

    def _wake(self, number: int, run: _Run, future: "asyncio.Future[Any]") -> None:
        run.awaiting = None
        if future.cancelled():
            self._step(number, run, run.throw, asyncio.CancelledError())
        elif error := future.exception():
            self._step(number, run, run.throw, error)
        else:
            self._step(number, run, run.switch, future.result())

    def _end(self, number: int) -> None:
        del self._active[number]
        self._names.pop(number, None)
        if self._queued:
            self.loop.call_soon(self._begin, *self._queued.popleft())
        elif not self._active:
            self._idle.set()

    def _cancel(self, number: int) -> None:
        run = self._active.get(number)
        if run is not None and run.awaiting is not None:
            run.terminated = True
            run.awaiting.cancel()

    def _forget_queued(self) -> None:
        for number, _work in self._queued:
            self._names.pop(number, None)
        self._queued.clear()
        if not self._active:
            self._idle.set()


def _nothing() -> None:
    """Be called: who waits for that looks round again."""
