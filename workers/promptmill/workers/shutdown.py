"""How a worker stops: warm on the first signal, at once on the second, and with its parent."""

import logging
import os
import signal
from typing import Any

from celery import signals

from promptmill.schema.parent import watch_parent
from promptmill.workers.runtime import Runtime

_log = logging.getLogger(__name__)
_SPARE_S = 30.0


def stop_on_signals(runtime: Runtime) -> None:
    """Drain *runtime* on the first TERM or INT, abandon its open calls on the second."""
    seen: list[str] = []

    def on_shutting_down(sig: str = "", **_: Any) -> None:
        seen.append(sig)
        if len(seen) == 1:
            runtime.drain()
        else:
            runtime.abandon()

    signals.worker_shutting_down.connect(on_shutting_down, weak=False)


def stop_with_parent(fd: int, *, grace_s: float) -> None:
    """Stop warmly when the process that holds the other end of *fd* is gone."""
    watch_parent(
        fd,
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        then_exit_after_s=grace_s + _SPARE_S,
    )
