"""Which job has, or will have, the answer to a request: kept in Redis while it may be used.

A key is a keyed hash over all that decides the answer, a value the id of a job. Neither tells
anything, and nothing is believed: SQL decides (`moves.caching`). An emptied Redis costs calls.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from promptmill.workers.away import Away
from promptmill.workers.limits.gathering import Gathering
from promptmill.workers.served import Served

_WHILE_ASKED_S = 3600
"""How much longer than its answer may be used a job is known: so long it may be asked for."""


class _Question(NamedTuple):
    key: str
    job_id: int
    refused: int
    keep_s: int


class References:
    """The references of one worker process. *read_secret* may block; it is called once."""

    def __init__(self, redis: Redis, *, prefix: str, read_secret: Callable[[], bytes]) -> None:
        self._prefix, self._read_secret = f"{prefix}cache:", read_secret
        self._script = redis.register_script(
            (files(__package__) / "references.lua").read_text("utf-8")
        )
        self._gathering = Gathering[_Question, int](self._send)
        self._secret: bytes | None = None
        self._away = Away("cache")

    async def key(self, served: Served, request_hash: str, *, pool: str | None = None) -> str:
        """Name a request, hashed over provider, model and body, as *served* asks it.

        Of a *pool* all members ask the same.
        """
        if self._secret is None:
            self._secret = await asyncio.to_thread(self._read_secret)
        where = served.settings.base_url or "" if pool is None else f"pool {pool}"
        named = f"{served.kind}\0{where}\0{request_hash}".encode()
        return self._prefix + hmac.new(self._secret, named, hashlib.sha256).hexdigest()[:32]

    async def meet(
        self, key: str, job_id: int, *, keep_s: int, refused: int | None = None
    ) -> int | None:
        """Tell which job is known for *key*; where there is none, or *refused*, it is this one.

        None: Redis does not answer.
        """
        question = _Question(key, job_id, refused or 0, keep_s + _WHILE_ASKED_S)
        try:
            return await self._gathering.ask(question)
        except (RedisError, OSError):
            return None

    async def _send(self, questions: Sequence[_Question]) -> list[int]:
        keys = [question.key for question in questions]
        arguments = [argument for question in questions for argument in question[1:]]
        try:
            found = await self._script(keys=keys, args=arguments)
        except (RedisError, OSError) as error:
            self._away.saw(error)
            raise
        self._away.answered()
        return [int(job) for job in found]
