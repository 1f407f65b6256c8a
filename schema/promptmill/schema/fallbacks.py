"""Which other models a job goes to where its own does not answer it: the fallbacks of a batch.

They are stored with the batch, as JSON, by the `provider/model` that is asked first:

    {"openai/gpt-4o": [{"to": "anthropic/claude-sonnet-4-5", "when": ["paused", "policy"]}]}

A job goes down its list and never back, so it cannot go round in a circle.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec


class When(StrEnum):
    """Why a job goes to another model."""

    PAUSED = "paused"
    """its provider is paused or down, and for some time: key, money, quota of the day, outage"""
    CONTEXT = "context"
    """it is too long for its model"""
    POLICY = "policy"
    """it, or its answer, is refused by a content filter"""
    DEADLINE = "deadline"
    """it still waits when the deadline of its batch is near"""


USUAL = (When.PAUSED, When.CONTEXT, When.POLICY)
"""where nobody says when"""


class Fallback(msgspec.Struct, frozen=True):
    """Another model, and when it is asked."""

    to: str
    """`provider/model`"""
    when: tuple[When, ...]

    @property
    def provider(self) -> str:
        """Who is asked."""
        return self.to.partition("/")[0]

    @property
    def model(self) -> str:
        """Which model, by the provider's own name."""
        return self.to.partition("/")[2]


Rules = Mapping[str, tuple[Fallback, ...]]
"""by the `provider/model` that is asked first"""

_decoder = msgspec.json.Decoder(dict[str, tuple[Fallback, ...]])


@lru_cache(maxsize=64)
def read_rules(stored: str | None) -> Rules:
    """Read what a batch has stored."""
    return _decoder.decode(stored) if stored else {}


def write_rules(rules: Rules) -> str | None:
    """Write *rules* to be stored; None: there are none."""
    return msgspec.json.encode(rules, order="deterministic").decode() if rules else None


def later(rules: Rules, *, asked: str, now: str) -> tuple[Fallback, ...]:
    """List what comes after *now* for a job that was *asked* of that `provider/model`."""
    way = rules.get(asked, ())
    if now == asked:
        return way
    at = next((at for at, one in enumerate(way, start=1) if one.to == now), len(way))
    return way[at:]


def next_for(rules: Rules, *, asked: str, now: str, when: When) -> Fallback | None:
    """Tell where a job goes from *now* that was *asked* first of another; None: nowhere."""
    return next((one for one in later(rules, asked=asked, now=now) if when in one.when), None)


def providers_of(rules: Rules) -> set[str]:
    """List whom jobs may be sent on to."""
    return {one.provider for way in rules.values() for one in way}


def leads_on(rules: Rules, *, left: Collection[str], held: Collection[str]) -> bool:
    """Tell whether jobs of the providers *left* can go to one that is not *held* by a pause."""
    return any(
        one.provider not in held
        for now, way in _stations(rules)
        if now in left
        for one in way
        if When.PAUSED in one.when
    )


def _stations(rules: Rules) -> Iterator[tuple[str, tuple[Fallback, ...]]]:
    """Yield each provider on a way, and what comes after it."""
    for asked, way in rules.items():
        yield asked.partition("/")[0], way
        for at, one in enumerate(way, start=1):
            yield one.provider, way[at:]
