"""Cost in whole micro-dollars; unknown is None and never 0."""

from datetime import UTC, datetime

import pytest
from genai_prices import Usage as Listed
from genai_prices import calc_price

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.prices import cost_micros

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
USAGE = Usage(1000, 100, cache_read_tokens=200, cache_write_tokens=50, reasoning_tokens=40)


@pytest.mark.parametrize(
    ("kind", "listed", "model"),
    [
        (ProviderKind.OPENAI, "openai", "gpt-4o-mini"),
        (ProviderKind.OPENAI, "openai", "gpt-5"),
        (ProviderKind.ANTHROPIC, "anthropic", "claude-sonnet-4-5"),
        (ProviderKind.GEMINI, "google", "gemini-2.5-flash"),
        (ProviderKind.GEMINI, "google", "gemini-2.5-pro"),
    ],
)
@pytest.mark.parametrize("scale", [1, 199, 200, 201, 400])
def test_a_cost_is_the_listed_price(
    kind: ProviderKind, listed: str, model: str, scale: int
) -> None:
    usage = Usage(1000 * scale, 100 * scale, 200 * scale, 50 * scale)
    price = calc_price(
        Listed(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
        model,
        provider_id=listed,
        genai_request_timestamp=AT,
    ).total_price
    cost = cost_micros(kind, model, usage, at=AT)
    assert cost is not None
    assert abs(cost - price * 1_000_000) <= 0.5


def test_a_cost_can_be_checked_by_hand() -> None:
    # gpt-4o-mini: $0.15 a million tokens in, $0.075 from the cache, $0.60 out
    usage = Usage(1_000_000, 1_000_000, cache_read_tokens=400_000)
    assert cost_micros("openai", "gpt-4o-mini", usage, at=AT) == 90_000 + 30_000 + 600_000


@pytest.mark.parametrize(
    ("source", "model"),
    [("openai", "my-own-model"), ("my-vllm", "gpt-4o"), ("anthropic", "gpt-4o"), ("openai", "")],
)
def test_an_unknown_price_is_an_unknown_cost(source: str, model: str) -> None:
    assert cost_micros(source, model, USAGE, at=AT) is None


def test_a_vendor_is_priced_by_its_own_list() -> None:
    theirs = cost_micros("deepseek", "deepseek-chat", USAGE, at=AT)
    assert theirs is not None
    assert theirs > 0


def test_usage_that_cannot_be_is_an_unknown_cost() -> None:
    assert cost_micros("openai", "gpt-4o", Usage(10, 1, cache_read_tokens=20), at=AT) is None


def test_nothing_used_costs_nothing() -> None:
    assert cost_micros("openai", "gpt-4o", Usage(0, 0), at=AT) == 0
