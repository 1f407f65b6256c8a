"""The dispatcher and workers that a command on a laptop brings along."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from promptmill.producer.embedded.children import Children, Ended
from promptmill.producer.embedded.valkey import RedisPlace, ensure_redis
from promptmill.schema.errors import ServiceError
from promptmill.schema.hint import queue_name
from promptmill.schema.settings import PREFIX, Settings

_USAGE = 2
"""exit code of a child whose settings are wrong"""
_LIVES = 3
"""times that a child is started again"""
_REDIS = "redis"
STOP_SPARE_S = 10.0
"""what a worker may take beyond its grace time, to store what came"""


def worker_command(providers: Iterable[str], *, name: str) -> list[str]:
    """Name the command of a worker; the producer starts workers and never imports them."""
    queues = ",".join(queue_name(provider) for provider in providers)
    worker = [sys.executable, "-m", "promptmill.workers"]
    return [*worker, "-Q", queues, "-n", f"{name}@%h", "--without-gossip", "--without-mingle"]


def dispatch_command() -> list[str]:
    """Name the command of a dispatcher."""
    return [sys.executable, "-m", "promptmill.producer", "dispatch"]


class Crew:
    """A Redis, a dispatcher and workers that end with this process. Use it as a block."""

    def __init__(self, settings: Settings, *, env: Mapping[str, str] | None = None) -> None:
        """Find or start Redis. *env* goes to every child, over this process's own environment."""
        self._settings = settings
        self.redis: RedisPlace = ensure_redis(settings)
        self._env = {
            f"{PREFIX}REDIS_URL": self.redis.url,
            f"{PREFIX}STATE_DIR": str(settings.state_dir.absolute()),
            **(env or {}),
        }
        secrets = [one.api_key for one in settings.providers.values() if one.api_key]
        self._started: dict[str, tuple[list[str], Mapping[str, str]]] = {}
        self._revived: Counter[str] = Counter()
        self.log_folder = settings.state_dir / "logs"
        self._children = Children(self.log_folder, secrets=secrets, keep_fds=self.redis.keep_fds)

    def start_dispatcher(self) -> None:
        """Start a dispatcher; it stands by where another one leads."""
        self._start("dispatch", dispatch_command())

    def start_worker(self, provider: str, *, number: int = 1) -> None:
        """Start a worker process for one provider."""
        name = f"worker-{provider}-{number}"
        # Another run in the same folder has workers too: Flower tells them apart by their names.
        command = worker_command([provider], name=f"{name}-{os.getpid()}")
        self._start(name, command)

    def start_other(self, name: str, argv: list[str], env: Mapping[str, str]) -> None:
        """Start another child that ends with this process."""
        self._start(name, argv, env)

    def start_again(self, child: Ended) -> bool:
        """Start a child that ended by itself. False: it ends each time, or is set up wrong."""
        self._revived[child.name] += 1
        if child.returncode == _USAGE or self._revived[child.name] > _LIVES:
            return False
        self._start(child.name, *self._started[child.name])
        return True

    def revive_redis(self) -> bool:
        """Start a bundled server that died again; say whether it had. Its children wait for it.

        Raises ServiceError when it ends each time.
        """
        if not self.redis.revive():
            return False
        self._revived[_REDIS] += 1
        if self._revived[_REDIS] > _LIVES:
            msg = f"{self.redis.label.partition(',')[0]} ends each time it is started"
            raise ServiceError(msg)
        return True

    def ended(self) -> list[Ended]:
        """Tell which children ended by themselves since the last call."""
        return self._children.ended()

    def stop(self) -> list[str]:
        """Stop all warmly: open calls end and are stored. Names those that had to be killed."""
        return self._children.stop(self._settings.worker.grace_s + STOP_SPARE_S)

    def kill(self) -> None:
        """End all at once."""
        self._children.kill()

    def _start(self, name: str, command: list[str], env: Mapping[str, str] | None = None) -> None:
        env = env or {}
        self._started[name] = command, env
        self._children.start(name, command, {**self._env, **env})

    def __enter__(self) -> Self:
        self._children.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._children.__exit__(kind, error, at)
        self.redis.close()
