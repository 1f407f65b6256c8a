"""Python processes forked from one that has imported already what a worker imports.

To import Celery, SQLAlchemy and three SDKs is most of what the start of a worker costs, and the
tests start some eighty. In all else a process from here is as one of `python -m MODULE`: it has its
own session, environment, folder and output, MODULE is its main program, and it ends as an
interpreter ends. What Python itself reads at its start, PYTHONPATH and such, is as it was there.

    python -m tests.services.warm_python FD

takes orders over the socket FD, until nobody holds the other end of it any more.
"""

import gc
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import msgspec

from tests.services.environment import clean_environment

ROOT = Path(__file__).parents[2]
_WORKER = "promptmill.workers"
_VERBS = ("dispatch", "doctor", "estimate", "export", "limits", "report", "results", "run", "sql")
_IMPORTED = (
    "celery.bin.celery",
    f"{_WORKER}.celery_app",
    *(f"{_WORKER}.providers.{sdk}.batches" for sdk in ("anthropic", "gemini", "openai")),
    *(f"promptmill.producer.cli.{verb}" for verb in _VERBS),
    *(f"promptmill.producer.cli.{verb}" for verb in ("status", "submit", "watch", "worker")),
    *(f"promptmill.producer.cli.verbs.{each}" for each in ("ask", "serve", "take", "watch")),
)
_NUMBER = struct.Struct("q")


class Order(msgspec.Struct, frozen=True):
    """What a process is to be."""

    argv: list[str]
    """the module, and its words"""
    env: dict[str, str]
    folder: str


class Forked:
    """A process from here: as a `subprocess.Popen`, as far as tests need one."""

    def __init__(self, line: socket.socket, argv: list[str]) -> None:
        self._line, self._argv = line, argv
        self._code: int | None = None
        self.pid = self._told()

    def poll(self) -> int | None:
        """Return its exit status, as `subprocess` has it, or None while it runs."""
        return self._ended(within_s=0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for it to end; return its exit status."""
        code = self._ended(within_s=timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._argv, timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _ended(self, *, within_s: float | None) -> int | None:
        if self._code is None:
            look = select.poll()
            look.register(self._line, select.POLLIN)
            if look.poll(within_s and within_s * 1000):
                self._code = self._told()
                self._line.close()
        return self._code

    def _told(self) -> int:
        told = self._line.recv(_NUMBER.size, socket.MSG_WAITALL)
        assert told, f"{self._argv} was lost: see what {__name__} wrote to stderr"
        return int(_NUMBER.unpack(told)[0])


@dataclass(frozen=True, slots=True)
class WarmPython:
    """The process that others are forked from. It ends when nobody holds *line* any more."""

    line: socket.socket
    process: "subprocess.Popen[bytes] | None" = None
    """where it was started by this one"""

    def start(
        self, module: str, *words: str, env: Mapping[str, str], folder: Path, streams: Sequence[int]
    ) -> Forked:
        """Start `python -m MODULE WORDS…` in *folder*.

        *streams* are the descriptors of its stdout, stderr and stdin, which is empty if left out.
        """
        order = Order([module, *words], dict(env), str(folder))
        line, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.line, [b"."], [theirs.fileno(), *streams])
        line.sendall(msgspec.json.encode(order))
        line.shutdown(socket.SHUT_WR)
        return Forked(line, order.argv)


@cache
def warm_python() -> WarmPython:
    """Return the one of this process, which is started when it is first needed."""
    with clean_environment():
        paths = os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])
        env = {**os.environ, "PYTHONPATH": paths}
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return WarmPython(ours, process)


def serve(line: socket.socket) -> str:
    """Fork a process for each order; in that one, return the name of its module."""
    for module in _IMPORTED:
        import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that no watcher stays as a zombie
    while True:
        word, fds, _, _ = socket.recv_fds(line, 1, 4)
        if not word:
            sys.exit()
        if os.fork() == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _fork_again(*fds)
        for fd in fds:
            os.close(fd)


def _fork_again(line_fd: int, *streams: int) -> str:
    """Watch a process of the next order, since only its parent learns how it ended."""
    with socket.socket(fileno=line_fd) as line:
        order = msgspec.json.decode(b"".join(iter(lambda: line.recv(2**16), b"")), type=Order)
        if pid := os.fork():
            _, status = os.waitpid(pid, 0)
            _tell(line, os.waitstatus_to_exitcode(status))
            os._exit(0)
        os.setsid()
        _tell(line, os.getpid())
    _become(order, streams)
    return order.argv[0]


def _tell(line: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever asked is gone
        line.sendall(_NUMBER.pack(number))


def _become(order: Order, streams: Sequence[int]) -> None:
    for given, usual in zip(streams, (1, 2, 0), strict=False):
        os.dup2(given, usual)
        os.close(given)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.env)
    sys.path[0] = order.folder
    sys.argv = order.argv


if __name__ == "__main__":
    ordered = serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(ordered, run_name="__main__", alter_sys=True)
