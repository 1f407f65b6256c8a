"""Hear of a signal without a lock: its handler runs between any two steps of the main thread.

A handler that sets an `Event` itself hangs for good where the main thread is about to wait for it,
since both take its lock. Here a thread of its own sets it, which a handler tells by a queue whose
`put` may come at any step, its own included.
"""

import signal
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


def stop_on(*signals: signal.Signals, again: Callable[[int], object] | None = None) -> Event:
    """Return an event that is set once one of *signals* came. Each more calls *again*."""
    stop = Event()
    handle = handler_for(stop, again=again)
    for number in signals:
        signal.signal(number, handle)
    return stop


def handler_for(stop: Event, *, again: Callable[[int], object] | None = None) -> Handler:
    """Make the handler of a signal that sets *stop*; *again* is called where it was set before."""
    asked: SimpleQueue[None] = SimpleQueue()
    was_asked = False

    def set_once_asked() -> None:
        asked.get()
        stop.set()

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal was_asked
        is_again, was_asked = was_asked or stop.is_set(), True
        asked.put(None)
        if again is not None and is_again:
            again(number)

    Thread(target=set_once_asked, name="stop-on-signal", daemon=True).start()
    return handle
