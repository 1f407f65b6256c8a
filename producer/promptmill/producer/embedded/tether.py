"""`python -m promptmill.producer.embedded.tether SECONDS MODULE ...`: run it until our parent ends.

For programs that know nothing of a parent. Flower would go on, and use the bundled server, after
`promptmill flower` was killed with -9.
"""

import os
import runpy
import signal
import sys
from collections.abc import Sequence

from promptmill.schema.parent import watch_parent
from promptmill.schema.settings import load_settings


def tethered(module: Sequence[str], *, grace_s: float) -> list[str]:
    """Name the command, for `Children`, that runs *module*: its name and its arguments.

    When we are gone it is told to stop, and *grace_s* seconds later it is ended.
    """
    return [sys.executable, "-m", __name__, str(grace_s), *module]


def _run() -> None:
    grace_s, sys.argv = float(sys.argv[1]), sys.argv[2:]
    fd = load_settings().parent_fd
    if fd is not None:
        watch_parent(fd, lambda: os.kill(os.getpid(), signal.SIGTERM), then_exit_after_s=grace_s)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run()
