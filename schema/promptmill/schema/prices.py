"""What a call cost, and what it can cost at most, in whole micro-dollars.

Prices come from the lists that ship with genai-prices, or from the settings of a provider
(`prices`), which come first.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from promptmill.schema.ceilings import best_name
from promptmill.schema.outcomes import Usage
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.provider_settings import PriceSettings, ProviderSettings

_SOURCES: Final = {ProviderKind.GEMINI.value: "google", "vertex": "google", "bedrock": "aws"}
_PICO_PER_MICRO: Final = 1_000_000
_PROBE: Final = 1_000_000
_QUARTER_S: Final = 900
BATCH: Final = "batch"
"""The service tier of what a provider's batch API answers."""
_NEAR: Final = 0.8
"""of two names, by difflib's ratio: `gtp-4o-mini` is, and next year's model is not"""


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-dollars a token: whole numbers for every published price a million tokens."""

    plain_input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    output: int
    image: int
    """a token of an image in the answer"""
    dearest_input: int
    """of all that an input token can cost, also where it is kept in a cache for an hour"""


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model at one moment."""

    starts: tuple[int, ...]
    """Where the dearer tiers begin, in input tokens; crossing one reprices the whole call."""
    rates: tuple[Rates, ...]

    def cost_micros(self, usage: Usage) -> int | None:
        """Price *usage*, rounded to the nearest micro-dollar; None for usage that cannot be."""
        plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        if plain < 0 or usage.output_tokens < 0 or not _is_part(usage):
            return None
        rates = self.rates[bisect_left(self.starts, usage.input_tokens)]
        pico = (
            plain * rates.plain_input
            + usage.cache_read_tokens * rates.cache_read
            + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * rates.cache_write
            + usage.cache_write_1h_tokens * rates.cache_write_1h
            + (usage.output_tokens - usage.image_tokens) * rates.output
            + usage.image_tokens * rates.image
        )
        return (pico + _PICO_PER_MICRO // 2) // _PICO_PER_MICRO

    def sum_micros(
        self, given: float, answered: float, *, calls: int, cached: bool = False
    ) -> float:
        """Price the tokens in and out of many like *calls* together; *cached*: read for less."""
        rates = self.rates[bisect_left(self.starts, given / calls)]
        rate = min(rates.cache_read, rates.plain_input) if cached else rates.plain_input
        return (given * rate + answered * rates.output) / _PICO_PER_MICRO

    @property
    def halved(self) -> "Tariff":
        """The same at half the price."""
        halves = (tuple(price // 2 for price in astuple(one)) for one in self.rates)
        return replace(self, rates=tuple(Rates(*half) for half in halves))

    def is_below(self, other: "Tariff") -> bool:
        """Whether a small call costs less by it."""
        mine, others = self.rates[0], other.rates[0]
        return mine.plain_input + mine.output < others.plain_input + others.output

    @property
    def is_free(self) -> bool:
        """Whether nothing that a call uses costs anything."""
        return not any(one.dearest_input or one.output or one.image for one in self.rates)

    def most_micros(self, input_tokens: int, output_tokens: int) -> int:
        """Price a call of at most so many tokens at the dearest that it can be, rounded up."""
        reached = self.rates[: bisect_left(self.starts, input_tokens) + 1]
        pico = max(
            input_tokens * rates.dearest_input + output_tokens * max(rates.output, rates.image)
            for rates in reached
        )
        return -(-pico // _PICO_PER_MICRO)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Whose prices hold for a provider."""

    source: str
    """a ProviderKind, a Platform, or the name of a vendor with its own prices (`groq`)"""
    own: Mapping[str, PriceSettings] = field(default_factory=dict)
    """set for single models and for families"""
    names: Mapping[str, str] = field(default_factory=dict)
    """what stands behind a model's name, where that is not the list's"""

    def tariff(self, model: str, *, at: datetime, service_tier: str = "") -> Tariff | None:
        """Find the prices of *model*, or None where nobody knows them.

        *at* has a time zone: prices change by date, and for some by the time of day. A service
        tier without prices of its own has the usual ones; that of the batch APIs has half of them,
        as all three providers publish.
        """
        own = self.own_price(model)
        if own is not None and own.input is not None:
            usual = _own_tariff(own)
            return usual.halved if service_tier == BATCH else usual
        quarter = int(at.timestamp()) // _QUARTER_S
        name = self._name(model)
        listed = _listed_tariff(self._listed, name, quarter, service_tier)
        if service_tier != BATCH or listed is None:
            return listed
        usual = _listed_tariff(self._listed, name, quarter, "") or listed
        return usual.halved if listed == usual else listed

    def tariff_now(self, model: str, service_tier: str = "") -> Tariff | None:
        """Find the prices that hold now."""
        return self.tariff(model, at=datetime.now(UTC), service_tier=service_tier)

    def cost_micros(self, model: str, usage: Usage, *, at: datetime) -> int | None:
        """Return the cost of *usage*, or None where the price is unknown, never 0."""
        tariff = self.tariff(model, at=at, service_tier=usage.service_tier)
        return None if tariff is None else tariff.cost_micros(usage)

    def own_price(self, model: str) -> PriceSettings | None:
        """Find what the settings say of *model*."""
        return self.own.get(best_name(model, self.own) or "") if self.own else None

    def window(self, model: str) -> int | None:
        """Tell the most tokens that *model* takes, where the settings or the list know."""
        own = self.own_price(model)
        if own is not None and own.window is not None:
            return own.window
        return _listed_window(self._listed, self._name(model))

    def near(self, model: str) -> str | None:
        """Name a listed model that *model*, whose price nobody knows, may be a slip of."""
        if self.tariff_now(model) is not None:
            return None
        return _listed_near(self._listed, self._name(model))

    def _name(self, model: str) -> str:
        return self.names.get(model, model)

    @property
    def _listed(self) -> str:
        return _SOURCES.get(self.source, self.source)


def price_list_of(name: str, provider: ProviderSettings) -> PriceList:
    """Tell whose prices hold: an OpenAI-compatible vendor has its own, known by its name or not.

    A further key of the kind's own vendor, which has no address of its own, pays as the first does.
    """
    is_vendor = name == provider.kind or provider.base_url is None
    source = provider.kind.value if is_vendor else name
    return PriceList(provider.platform or source, provider.prices, provider.deployments)


def _is_part(usage: Usage) -> bool:
    is_of_output = 0 <= usage.image_tokens <= usage.output_tokens
    return is_of_output and 0 <= usage.cache_write_1h_tokens <= usage.cache_write_tokens


@lru_cache(maxsize=256)
def _own_tariff(own: PriceSettings) -> Tariff:
    plain = own.input or 0.0
    read = plain if own.cache_read is None else own.cache_read
    write = plain if own.cache_write is None else own.cache_write
    kept = write if own.cache_write_1h is None else own.cache_write_1h
    dearest = max(plain, read, write, kept)
    answered = own.output or 0.0
    rates = (plain, read, write, kept, answered, answered, dearest)
    return Tariff((), (Rates(*(round(dollars * _PICO_PER_MICRO) for dollars in rates)),))


# genai-prices takes 0.15 ms for a price and says the same for each quarter of an hour, so it is
# asked for its rates once. It takes 0.2 s and 26 MiB to import.
@lru_cache(maxsize=2048)
def _listed_tariff(source: str, model: str, quarter: int, service_tier: str) -> Tariff | None:
    from genai_prices import Usage as Tokens  # noqa: PLC0415
    from genai_prices import calc_price  # noqa: PLC0415
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    how: dict[str, Any] = {
        "provider_id": source,
        "genai_request_timestamp": datetime.fromtimestamp(quarter * _QUARTER_S, UTC),
        "price_context": _context(service_tier),
    }

    def pico(**tokens: int) -> int:
        price = calc_price(Tokens(**tokens), model, **how)
        return round(price.total_price * 1_000_000 * _PICO_PER_MICRO)

    def rates(inputs: int) -> Rates:
        plain = pico(input_tokens=inputs, output_tokens=0)
        read = pico(input_tokens=inputs, cache_read_tokens=inputs)
        written = pico(input_tokens=inputs, cache_write_tokens=inputs)
        kept = pico(input_tokens=inputs, cache_write_tokens=inputs, cache_write_1h_tokens=inputs)
        answered = pico(input_tokens=inputs, output_tokens=_PROBE)
        drawn = pico(input_tokens=inputs, output_tokens=_PROBE, output_image_tokens=_PROBE)
        return Rates(
            plain_input=plain // inputs,
            cache_read=read // inputs,
            cache_write=written // inputs,
            cache_write_1h=kept // inputs,
            output=(answered - plain) // _PROBE,
            image=(drawn - plain) // _PROBE,
            dearest_input=max(plain, read, written, kept) // inputs,
        )

    try:
        listed = calc_price(Tokens(input_tokens=1), model, **how).model_price
    except LookupError:
        return None
    tiered = (price for price in vars(listed).values() if isinstance(price, TieredPrices))
    starts = tuple(sorted({tier.start for price in tiered for tier in price.tiers}))
    return Tariff(starts, tuple(rates(start + 1) for start in (0, *starts)))


def _context(service_tier: str) -> dict[str, str] | None:
    """Say it as genai-prices does; `batch` is what Anthropic calls its tier of half a price."""
    if not service_tier:
        return None
    return {"processing" if service_tier == BATCH else "service_tier": service_tier}


@lru_cache(maxsize=2048)
def _listed_window(source: str, model: str) -> int | None:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    try:
        _, found = get_snapshot().find_provider_model(model, None, source, None)
    except LookupError:
        return None
    return found.context_window


@lru_cache(maxsize=256)
def _listed_near(source: str, model: str) -> str | None:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    listed = next((one for one in get_snapshot().providers if one.id == source), None)
    names = [one.id for one in listed.models] if listed is not None else []
    return next(iter(get_close_matches(model, names, n=1, cutoff=_NEAR)), None)
