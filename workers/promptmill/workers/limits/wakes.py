"""News from the other processes: a place in flight is free, a limit changed, a pause ended."""

import asyncio
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from promptmill.schema.limit_state import SPACE
from promptmill.workers.limits.stopping import stop

AGAIN_S = 1.0
PLACE_FREE = "free"
"""The news of lua/records.lua; all others are of limits and pauses."""

log = structlog.get_logger(__name__)


class Wakes:
    """Listens while it runs; *heard* gets the account key that the news are of, and what they are.

    News are a favour: who misses them asks again a second later.
    """

    def __init__(self, redis: Redis, *, prefix: str, heard: Callable[[str, str], None]) -> None:
        self._redis, self._heard = redis, heard
        self._pattern = escape(f"{prefix}{SPACE}:") + "*"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, once."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="limits-wakes")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await stop(self._task)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.debug("limiter_news_lost", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as news:
            await news.psubscribe(self._pattern)
            while True:
                message = await news.get_message(timeout=None)
                if message is not None:
                    self._heard(_text(message["channel"]), _text(message["data"]))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def escape(text: str) -> str:
    """Make *text* match itself in a Redis pattern."""
    return "".join(f"\\{letter}" if letter in "*?[]^-\\" else letter for letter in text)
