"""Start workers and a dispatcher as child processes that end with this one, even on kill -9.

Each child inherits the read end of one pipe whose other end only this process holds. The kernel
closes that end when this process dies, and the child's `promptmill.schema.parent.watch_parent`
sees it.
"""

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Self

from promptmill.producer.embedded import logs
from promptmill.schema.private import private_folder
from promptmill.schema.secret import Secret
from promptmill.schema.settings import PREFIX

PARENT_FD = f"{PREFIX}PARENT_FD"
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that ended by itself."""

    name: str
    returncode: int
    """negative for the number of the signal that ended it"""
    last_words: str
    """the end of its log, without keys; empty where it has none"""


class Children:
    """Child processes that write to `NAME.log` in *log_folder* and end with the block.

    Without a *log_folder* they write where this process does.

    *secrets* never show in what is quoted from a log. *keep_fds* are inherited by every child.
    """

    def __init__(
        self,
        log_folder: Path | None,
        *,
        secrets: Iterable[Secret] = (),
        keep_fds: Iterable[int] = (),
    ) -> None:
        self._folder = log_folder
        self._secrets = tuple(secrets)
        self._keep_fds = tuple(keep_fds)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._child_end, self._our_end = os.pipe()

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a child under a *name* that is not in use, with *env* over our own environment.

        It leads a session of its own: Ctrl-C reaches this process only, which then decides.
        """
        output = self._output(name)
        inherited = os.environ  # noqa: TID251  handed on as it is, not read
        try:
            self._running[name] = subprocess.Popen(
                argv,
                env={**inherited, **env, PARENT_FD: str(self._child_end)},
                pass_fds=(self._child_end, *self._keep_fds),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)

    def pid(self, name: str) -> int:
        """Return the process id of a running child."""
        return self._running[name].pid

    def ended(self) -> list[Ended]:
        """Return the children that ended since the last call, each once; keep all logs small."""
        found = []
        for name, process in list(self._running.items()):
            self._trim(name)
            returncode = process.poll()
            if returncode is not None:
                del self._running[name]
                found.append(Ended(name, returncode, self._last_words(name)))
        return found

    def stop(self, grace_s: float) -> list[str]:
        """Ask all children to end, and end them *grace_s* seconds later; name those that had to be.

        A child's own children get the signal of the end too, since they are in its session.
        """
        # Not the mapping itself: a second Ctrl-C empties it by `kill` between any two lines.
        asked = tuple(self._running.items())
        for _, process in asked:
            process.send_signal(signal.SIGTERM)
        deadline = monotonic() + grace_s
        while monotonic() < deadline and any(process.poll() is None for _, process in asked):
            Event().wait(_POLL_S)
        killed = [name for name, process in asked if process.poll() is None]
        self.kill()
        return killed

    def kill(self) -> None:
        """End all children at once."""
        for process in tuple(self._running.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.kill()
        os.close(self._child_end)
        os.close(self._our_end)

    def _output(self, name: str) -> int | None:
        if self._folder is None:
            return None
        private_folder(self._folder)
        self._trim(name)
        return logs.append_to(self._folder / f"{name}.log")

    def _trim(self, name: str) -> None:
        if self._folder is not None:
            logs.trim(self._folder / f"{name}.log")

    def _last_words(self, name: str) -> str:
        if self._folder is None:
            return ""
        text = logs.tail(self._folder / f"{name}.log")
        for secret in self._secrets:
            text = text.replace(secret.reveal(), repr(secret))
        return text
