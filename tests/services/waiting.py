"""Wait for a thing to become true, instead of sleeping and hoping."""

from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], what: str, timeout: float = 30.0) -> T:
    """Return the first true value of *predicate*; fail with *what* after *timeout* seconds.

    The time is no demand on speed: it is long, so that a busy machine fails nothing.
    """
    deadline = monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if monotonic() > deadline:
            msg = f"waited {timeout:g} s for {what}; the last look gave {value!r}"
            raise AssertionError(msg)
        Event().wait(0.01)
