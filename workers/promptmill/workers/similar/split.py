"""What of a request must be equal, and the text that may be similar."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from promptmill.schema.requests import NATIVE
from promptmill.workers.served import Served

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_LONGEST = 20_000
"""characters; of what is longer a vector tells too little"""


@dataclass(frozen=True, slots=True)
class Split:
    """A request in two parts."""

    scope: str
    """hash of all but the text: who is asked, the messages before it, parameters, its numbers"""
    text: str = field(repr=False)


def split(
    served: Served, model: str, body: Mapping[str, Any], *, embedder: str, pool: str | None = None
) -> Split | None:
    """Take the last message's text out of *body*. None: this is no request of a user's text.

    Of a *pool* all members are asked the same.

    Numbers are of the scope, since texts that differ in nothing else ask for something else.
    """
    messages = body.get("messages")
    if NATIVE in body or not isinstance(messages, list) or not messages:
        return None
    *before, last = messages
    text = last.get("content") if isinstance(last, dict) and last.get("role") == "user" else None
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        return None
    same = {
        "asked": [*_whom(served, pool), model],
        "embedder": embedder,
        "body": {**body, "messages": [*before, {**last, "content": None}]},
        "numbers": _NUMBER.findall(text),
    }
    scope = hashlib.sha256(msgspec.json.encode(same, order="sorted")).hexdigest()
    return Split(scope, text)


def _whom(served: Served, pool: str | None) -> list[str | None]:
    if pool is not None:
        return [pool, served.kind, None]
    return [served.name, served.kind, served.settings.base_url]
