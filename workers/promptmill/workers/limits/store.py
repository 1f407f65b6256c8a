"""The scripts, called: one Redis, one clock."""

from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from promptmill.schema.limit_state import EPOCH_2025_S
from promptmill.workers.away import Away
from promptmill.workers.limits import scripts

Arguments = tuple[str | bytes, ...]
"""ARGV of a script behind the clock; see lua/state.lua."""


class Store:
    """Runs scripts in *redis*. *clock*, in us since 2025-01-01, replaces the server's in tests."""

    def __init__(self, redis: Redis, *, clock: Callable[[], int] | None = None) -> None:
        self.redis, self._clock = redis, clock
        self._away = Away("limiter")
        self._scripts: dict[str, AsyncScript] = {
            name: redis.register_script(scripts.script_text(name)) for name in scripts.NAMES
        }

    async def call(self, name: str, keys: Sequence[str], arguments: Arguments) -> Any:
        """Run script *name*. Raises RedisError or OSError, and has logged that, once an outage.

        A script that was lost is sent again.
        """
        now = "" if self._clock is None else str(self._clock())
        try:
            answer = await self._scripts[name](keys=keys, args=(now, *arguments))
        except (RedisError, OSError) as error:
            self._away.saw(error)
            raise
        self._away.answered()
        return answer

    async def attempt(self, name: str, keys: Sequence[str], arguments: Arguments) -> Any:
        """Run script *name*; return None without an answer: the lease will die."""
        try:
            return await self.call(name, keys, arguments)
        except (RedisError, OSError):
            return None

    async def now_us(self) -> int:
        """Read the server's clock, in microseconds since 2025-01-01."""
        if self._clock is not None:
            return self._clock()
        seconds, micros = await self.redis.time()
        return (seconds - EPOCH_2025_S) * 1_000_000 + micros
