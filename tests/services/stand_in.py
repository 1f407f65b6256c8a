"""Stands for the command `promptmill`: a warm Python runs it, and this ends as that does.

PM_TEST_WARM_PYTHON=FD python -m tests.services.stand_in WORDS…
"""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.services.warm_python import ROOT, WarmPython, warm_python

_SERVER = "PM_TEST_WARM_PYTHON"


@dataclass(frozen=True, slots=True)
class StandIn:
    """The command in a folder, and what has to be given to those who type it."""

    folder: Path
    env: dict[str, str]
    pass_fds: tuple[int, ...]


def install(folder: Path) -> StandIn:
    """Make the command in a new *folder*, to be put in front of the others in PATH."""
    folder.mkdir()
    command = folder / "promptmill"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {__name__} "$@"\n')
    command.chmod(0o755)
    server = warm_python().line.fileno()
    paths = os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])
    return StandIn(folder, {"PYTHONPATH": paths, _SERVER: str(server)}, (server,))


def main() -> None:
    """Run one command, and tell it the signals that come for it."""
    server = WarmPython(socket.socket(fileno=int(os.environ[_SERVER])))
    words, folder = ["promptmill.producer", *sys.argv[1:]], Path.cwd()
    forked = server.start(*words, env=os.environ, folder=folder, streams=(1, 2, 0))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: forked.send_signal(signal.Signals(number)))
    code = forked.wait()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
