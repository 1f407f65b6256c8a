"""End with the process that started this one, even when that was killed with -9."""

import os
import threading
from collections.abc import Callable

EXIT_ORPHANED = 70
"""Exit status (EX_SOFTWARE) of a process whose parent is gone and that did not end in time."""


def watch_parent(fd: int, on_gone: Callable[[], None], *, then_exit_after_s: float) -> None:
    """Call *on_gone* once the other end of the pipe *fd* is closed, from a thread of its own.

    The kernel closes that end when the parent dies, however it dies. *on_gone* asks for a warm
    stop; a process that still runs *then_exit_after_s* seconds later is ended. Takes over *fd*.
    """
    threading.Thread(
        target=_watch, args=(fd, on_gone, then_exit_after_s), name="parent-watch", daemon=True
    ).start()


def _watch(fd: int, on_gone: Callable[[], None], then_exit_after_s: float) -> None:
    while os.read(fd, 1):
        continue
    os.close(fd)
    try:
        on_gone()
    finally:
        # A daemon thread: where the process ends by itself before, this wait ends with it.
        threading.Event().wait(then_exit_after_s)
        os._exit(EXIT_ORPHANED)
