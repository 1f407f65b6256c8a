"""What a provider's batch API takes and gives: many requests at once, answered within a day.

As with single calls no exception of an SDK leaves an adapter. But where a single call is sent once
and never again, a batch can be found again at its provider, by a marker that went with it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

import httpx2

from promptmill.schema.requests import Endpoint
from promptmill.workers.providers.asking import Asking
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.json_lines import lines_of
from promptmill.workers.providers.reply import Reply


@dataclass(frozen=True, slots=True)
class Handed:
    """A batch as it is handed in."""

    marker: str
    """ours, by which it is found again"""
    model: str
    endpoint: Endpoint
    lines: Sequence[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sought:
    """A batch that may be at the provider, or not."""

    marker: str
    jobs: int
    since: datetime
    """it was not handed in before"""
    others: Collection[str]
    """what the provider calls those that are known for others"""
    custom_ids: Collection[str] = field(repr=False)
    """some that are in it"""


class Missed(Enum):
    """Why a row has no answer of its own."""

    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Stage(Enum):
    """How far a batch is at its provider."""

    WORKING = "working"
    ENDED = "ended"
    REFUSED = "refused"
    """nothing of it was done"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A batch at one moment."""

    stage: Stage
    done: int = 0
    results: tuple[str, ...] = ()
    """where they are, as the adapter knows it"""
    problem: str | None = None
    """why it ended before all was done: `expired`, `cancelled`"""
    left: Missed | None = None
    """what became of jobs that have no row; None: nobody says, and they may have been billed"""
    refusal: Refusal | None = None
    """of one that is refused"""
    bad_lines: tuple[int, ...] = ()
    """those that are why, from 1"""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one request."""

    custom_id: str
    came: Reply | Missed = field(repr=False)
    """what a call of its own would have been answered"""


class BatchApi(Protocol):
    """One provider's batch API; one instance an event loop."""

    endpoints: frozenset[Endpoint]
    most_jobs: int
    most_bytes: int

    def line(self, call: Call) -> bytes:
        """Write *call* as a row; its `request_id` is the custom_id. Raises UnsendableError."""
        ...

    async def create(self, handed: Handed, *, may: Callable[[], bool]) -> str | Refusal | None:
        """Hand a batch in, and say what the provider calls it.

        *may* is asked just before the request that makes it there; None: it said no. A refusal of
        kind `unknown`, `transient` or `overloaded` leaves open whether it was made.
        """
        ...

    async def find(self, sought: Sought) -> str | Refusal | None:
        """Look for a batch that may be there; None: it is not."""
        ...

    async def look(self, provider_id: str) -> Standing | Refusal:
        """See how far a batch is."""
        ...

    async def cancel(self, provider_id: str) -> Refusal | None:
        """Let a batch end; what is done of it is kept."""
        ...

    def rows(self, standing: Standing) -> AsyncGenerator[Row | Refusal, None]:
        """Read what came, in any order, each row once; a refusal ends it before its end."""
        ...

    def read(self, call: Call, reply: Reply) -> Answer | Refusal:
        """Tell what *reply* is, as if *call* had been answered by it."""
        ...


FULL = "token_limit_exceeded"
"""The `code` of a refusal: as much waits at the provider already as it takes (OpenAI's word)."""


async def rows_of(
    standing: Standing,
    asking: Asking,
    open_: Callable[[str], Awaitable[httpx2.Response]],
    read: Callable[[bytes], Row | None],
) -> AsyncGenerator[Row | Refusal, None]:
    """Read the rows of all results of *standing*, each opened by *open_*; see `BatchApi.rows`.

    Each line is awaited within its deadline; what *read* makes nothing of is left out.
    """
    for place in standing.results:
        opened = await asking.ask(open_(place))
        if isinstance(opened, Refusal):
            yield opened
            return
        async with aclosing(opened):
            lines = lines_of(opened.aiter_bytes())
            while (line := await asking.ask(anext(lines, b""))) != b"":
                if isinstance(line, Refusal):
                    yield line
                    return
                row = read(line)
                if row is not None:
                    yield row
