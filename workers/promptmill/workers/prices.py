"""What a call cost, in whole micro-dollars, from price lists that ship with genai-prices."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind

_SOURCES: Final = {ProviderKind.GEMINI.value: "google"}
_PICO_PER_MICRO: Final = 1_000_000
_PROBE: Final = 1_000_000
_QUARTER_S: Final = 900


@dataclass(frozen=True, slots=True)
class _Rates:
    """Pico-dollars a token: whole numbers for every published price a million tokens."""

    plain_input: int
    cache_read: int
    cache_write: int
    output: int


@dataclass(frozen=True, slots=True)
class _Tariff:
    starts: tuple[int, ...]
    """Where the dearer tiers begin, in input tokens; crossing one reprices the whole call."""
    rates: tuple[_Rates, ...]


def cost_micros(source: str, model: str, usage: Usage, *, at: datetime) -> int | None:
    """Return the cost of *usage* in micro-dollars, or None where the price is unknown, never 0.

    *source* is a ProviderKind, or the name of a vendor with its own prices (`groq`, `deepseek`).
    *at* has a time zone: prices change by date, and for some by the time of day.
    """
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    if plain < 0 or usage.output_tokens < 0:
        return None
    quarter = int(at.timestamp()) // _QUARTER_S
    tariff = _tariff(_SOURCES.get(str(source), str(source)), model, quarter)
    if tariff is None:
        return None
    rates = tariff.rates[bisect_left(tariff.starts, usage.input_tokens)]
    pico = (
        plain * rates.plain_input
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_tokens * rates.cache_write
        + usage.output_tokens * rates.output
    )
    return (pico + _PICO_PER_MICRO // 2) // _PICO_PER_MICRO


@lru_cache(maxsize=2048)
def _tariff(source: str, model: str, quarter: int) -> _Tariff | None:
    # genai-prices takes 0.15 ms for a price and says the same for each quarter of an hour, so it
    # is asked for its rates once. It takes 0.4 s and 26 MiB to import.
    from genai_prices import Usage as Tokens  # noqa: PLC0415
    from genai_prices import calc_price  # noqa: PLC0415
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    at = datetime.fromtimestamp(quarter * _QUARTER_S, UTC)

    def pico(**tokens: int) -> int:
        price = calc_price(Tokens(**tokens), model, provider_id=source, genai_request_timestamp=at)
        return round(price.total_price * 1_000_000 * _PICO_PER_MICRO)

    def rates(inputs: int) -> _Rates:
        read = pico(input_tokens=inputs, cache_read_tokens=inputs)
        written = pico(input_tokens=inputs, cache_write_tokens=inputs)
        plain = pico(input_tokens=inputs, output_tokens=0)
        answered = pico(input_tokens=inputs, output_tokens=_PROBE)
        return _Rates(
            plain // inputs, read // inputs, written // inputs, (answered - plain) // _PROBE
        )

    try:
        listed = calc_price(
            Tokens(input_tokens=1), model, provider_id=source, genai_request_timestamp=at
        ).model_price
    except LookupError:
        return None
    tiered = (price for price in vars(listed).values() if isinstance(price, TieredPrices))
    starts = tuple(sorted({tier.start for price in tiered for tier in price.tiers}))
    return _Tariff(starts, tuple(rates(start + 1) for start in (0, *starts)))
