"""docs/rate-limits.md: its example's figures are what the limiter's own scripts answer."""

import asyncio
import re
import tomllib

from promptmill.schema.limit_level import DimensionLevel
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.settings import ProviderKind, ProviderSettings
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.limit import Booked, Dimension, Estimate, Postponed, Scope
from promptmill.workers.limits.permits import Permits
from tests.docs.pages import page
from tests.services.valkey import Valkey

PAGE = page("docs/rate-limits.md")
EXAMPLE = PAGE.text.partition("## An example with numbers")[2].partition("\n## ")[0]
LIMITS = ((Dimension.RPM, 500.0), (Dimension.TPM, 200_000.0))
SCOPE = Scope("openai", "gpt-4o-mini", "account", LIMITS, 100)
PROMPT, USED = Estimate(400, 300), Usage(410, 83)


class Story:
    """The example, on a clock that stands still until it is moved."""

    def __init__(self, valkey: Valkey) -> None:
        self._now_us = 50_000_000_000_000
        self._redis = connect(valkey.url)
        kinds = {"openai": ProviderKind.OPENAI}
        self.permits = Permits(self._redis, prefix="t:", kinds=kinds, clock=lambda: self._now_us)

    def later(self, seconds: float) -> None:
        self._now_us += round(seconds * 1e6)

    async def book(self, *, patience_s: float = 5.0) -> Booked:
        booked = await self.permits.book(SCOPE, PROMPT, patience_s=patience_s)
        assert isinstance(booked, Booked), booked
        return booked

    async def answer(self, calls: int) -> None:
        for _ in range(calls):
            self.later(1)
            await self.permits.settle(await self.book(), USED)

    async def limits(self) -> tuple[DimensionLevel, ...]:
        standing = await self.permits.level(SCOPE)
        assert standing is not None
        return standing.scope.dimensions

    async def end(self) -> None:
        await self.permits.close()
        await self._redis.aclose()


def row(name: str) -> list[float]:
    """Read the figures of one line of the first table: requests, tokens."""
    found = re.search(rf"^\| {name} \| ([\d.,]+) \| ([\d.,]+) \|$", EXAMPLE, re.MULTILINE)
    assert found, name
    return [float(cell.replace(",", "")) for cell in found.groups()]


def figures(pattern: str) -> list[float]:
    """Read the figures in the first group of *pattern*."""
    found = re.search(pattern, EXAMPLE)
    assert found, pattern
    return [float(text) for text in re.findall(r"[\d.]+\d|\d", found[1])]


def test_the_settings_that_are_shown_can_be_used() -> None:
    (toml,) = PAGE.blocks("toml")
    section = tomllib.loads(toml)["providers"]["openai"]
    settings = ProviderSettings.model_validate({"kind": "openai", **section})
    assert (settings.limits.tpm, settings.models["gpt-4o"].tpm) == (200_000, 30_000)


def test_buckets_and_starts_are_as_shown(valkey: Valkey) -> None:
    async def tell() -> None:
        story = Story(valkey)
        booked = await asyncio.gather(*(story.book() for _ in range(4)))
        limits = await story.limits()
        assert [each.limit for each in limits] == row("limit")
        assert [round(each.depth, 2) for each in limits] == row("bucket holds")
        assert [round(each.rate_s * 60, 1) for each in limits] == row("pace")
        assert list(booked[0].costs[:2]) == row("a call is booked with")
        assert [int(limits[1].rate_s * 60 / 700)] == figures(r"tokens last for (\d+) calls")
        starts = [round((each.start_us - booked[0].start_us) / 1e6, 3) for each in booked]
        assert starts == figures(r"get starts (.+?) s from now")
        await story.end()

    asyncio.run(tell())


def test_what_is_learned_makes_later_calls_cheaper(valkey: Valkey) -> None:
    async def tell() -> None:
        story = Story(valkey)
        await story.answer(200)
        story.later(1)
        cost = (await story.book()).costs[1]
        assert [cost] == figures(r"is booked with (\d+)\. That")
        assert cost == row("a call is settled with")[1]
        tokens = (await story.limits())[1]
        assert [int(tokens.rate_s * 60 / cost)] == figures(r"That is (\d+) calls")
        await story.end()

    asyncio.run(tell())


def test_a_429_pauses_voids_halves_and_is_recovered_from(valkey: Valkey) -> None:
    async def tell() -> None:
        story = Story(valkey)
        await story.answer(200)
        refused, unsent = await story.book(), await story.book()
        await story.permits.penalise(
            SCOPE, kind=ErrorKind.RATE, pause_s=7.0, reason="rate 429", refused=refused
        )
        assert not await story.permits.confirm(unsent)
        answer = await story.permits.book(SCOPE, PROMPT, patience_s=5)
        assert answer == Postponed(7.0, "pause:rate 429")
        shares = []
        for seconds in (8, 60, 240):
            story.later(seconds)
            standing = await story.permits.level(SCOPE)
            assert standing is not None
            shares.append(round(standing.scope.multiplier, 3))
        assert shares == [*figures(r"\n\| 8 \| ([\d.]+)"), *figures(r"\n\| 68 \| ([\d.]+)"), 1]
        await story.end()

    asyncio.run(tell())
