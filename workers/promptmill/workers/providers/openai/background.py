"""OpenAI's responses that are made in the background: asked for once, then looked after.

https://platform.openai.com/docs/guides/background. The id is kept before anybody waits. Looking
costs no tokens, and one look that fails says nothing of the response.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

import msgspec

from promptmill.workers.providers.base import Begun
from promptmill.workers.providers.errors import retry_after_s
from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.reply import Reply, decode

ASK_TIMEOUT_S: Final = 120.0
LOOK_TIMEOUT_S: Final = 30.0
STILL_MADE: Final = "background_pending"
"""Code of an attempt that looked for as long as it may; the next one goes on."""
GONE: Final = "the provider knows the response no more"
_MADE: Final = frozenset({"queued", "in_progress"})
_PATIENCE: Final = 0.1
_LONGEST_S: Final = 30.0
_PASSING: Final = frozenset({408, 409, 425, 429})


class _Response(msgspec.Struct):
    id: str
    status: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What came in the end."""

    reply: Reply | Lost
    is_over: bool
    """whether nothing else comes of that response; else it may be asked for again"""


class StillMade:
    """The time of this attempt is over, and the response is not there."""


async def answer_of(
    begun: Begun,
    *,
    ask: Callable[[], Awaitable[Reply | Lost]],
    look: Callable[[str], Awaitable[Reply | Lost]],
    timeout_s: float,
) -> Ended | StillMade:
    """Ask for a response where none is begun, and look after it until it is there."""
    since = monotonic()
    if begun.known is None:
        reply = await ask()
        made = _read(reply)
        if made is None or made.status not in _MADE:
            return Ended(reply, is_over=True)
        await begun.keep(made.id)
        begun.known = made.id
        await asyncio.sleep(begun.poll_s)
    while (age_s := monotonic() - since) < timeout_s:
        reply = await look(begun.known)
        if (ended := _judged(reply)) is not None:
            return ended
        pace_s = min(max(begun.poll_s, _PATIENCE * age_s), _LONGEST_S)
        told_s = retry_after_s(reply.headers) if isinstance(reply, Reply) else None
        await asyncio.sleep(max(pace_s, min(told_s or 0.0, _LONGEST_S)))
    return StillMade()


def _judged(reply: Reply | Lost) -> Ended | None:
    """Say what a look tells; None: look again."""
    if isinstance(reply, Lost) or reply.status >= 500 or reply.status in _PASSING:
        return None
    if reply.status == 404:
        return Ended(Lost(sent=True, why=GONE), is_over=True)
    if reply.status >= 300:
        return Ended(reply, is_over=False)
    made = _read(reply)
    if made is None or made.status in _MADE:
        return None
    return Ended(reply, is_over=True)


def _read(reply: Reply | Lost) -> _Response | None:
    if isinstance(reply, Lost) or not 200 <= reply.status < 300:
        return None
    return decode(reply.body, _Response)
