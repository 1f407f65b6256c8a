"""Cost in whole micro-dollars; unknown is None and never 0."""

from datetime import UTC, datetime

import pytest
from genai_prices import Usage as Listed
from genai_prices import calc_price

from promptmill.schema.outcomes import Usage
from promptmill.schema.prices import PriceList, price_list_of
from promptmill.schema.settings import PriceSettings, ProviderKind, ProviderSettings

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
USAGE = Usage(1000, 100, cache_read_tokens=200, cache_write_tokens=50, reasoning_tokens=40)


def cost_micros(source: str, model: str, usage: Usage) -> int | None:
    return PriceList(source).cost_micros(model, usage, at=AT)


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
    cost = cost_micros(kind, model, usage)
    assert cost is not None
    assert abs(cost - price * 1_000_000) <= 0.5


def test_a_cost_can_be_checked_by_hand() -> None:
    # gpt-4o-mini: $0.15 a million tokens in, $0.075 from the cache, $0.60 out
    usage = Usage(1_000_000, 1_000_000, cache_read_tokens=400_000)
    assert cost_micros("openai", "gpt-4o-mini", usage) == 90_000 + 30_000 + 600_000


@pytest.mark.parametrize(
    ("source", "model"),
    [("openai", "my-own-model"), ("my-vllm", "gpt-4o"), ("anthropic", "gpt-4o"), ("openai", "")],
)
def test_an_unknown_price_is_an_unknown_cost(source: str, model: str) -> None:
    assert cost_micros(source, model, USAGE) is None


def test_a_vendor_is_priced_by_its_own_list() -> None:
    theirs = cost_micros("deepseek", "deepseek-chat", USAGE)
    assert theirs is not None
    assert theirs > 0


def test_usage_that_cannot_be_is_an_unknown_cost() -> None:
    assert cost_micros("openai", "gpt-4o", Usage(10, 1, cache_read_tokens=20)) is None


def test_nothing_used_costs_nothing() -> None:
    assert cost_micros("openai", "gpt-4o", Usage(0, 0)) == 0


@pytest.mark.parametrize(
    ("source", "model", "dollars"),
    [
        # a million of each, from the providers' price pages: in, from cache, into cache, out
        ("openai", "gpt-4o", (2.50, 1.25, None, 10.00)),
        ("openai", "gpt-4.1-mini", (0.40, 0.10, None, 1.60)),
        ("openai", "o3", (2.00, 0.50, None, 8.00)),
        ("anthropic", "claude-haiku-4-5", (1.00, 0.10, 1.25, 5.00)),
        ("anthropic", "claude-opus-4-7", (5.00, 0.50, 6.25, 25.00)),
        ("gemini", "gemini-2.5-flash", (0.30, 0.03, None, 2.50)),
        ("gemini", "gemini-2.5-flash-lite", (0.10, 0.01, None, 0.40)),
    ],
)
def test_published_prices_are_met(
    source: str, model: str, dollars: tuple[float, float, float | None, float]
) -> None:
    kinds = (
        Usage(1_000_000, 0),
        Usage(1_000_000, 0, cache_read_tokens=1_000_000),
        Usage(1_000_000, 0, cache_write_tokens=1_000_000),
        Usage(0, 1_000_000, reasoning_tokens=900_000),  # reasoning is output, and not paid twice
    )
    for usage, price in zip(kinds, dollars, strict=True):
        if price is not None:
            assert cost_micros(source, model, usage) == round(price * 1e6)


def test_a_long_prompt_is_priced_by_its_tier() -> None:
    # gemini-2.5-pro: $1.25 and $10 up to 200,000 tokens in, $2.50 and $15 above
    assert cost_micros("gemini", "gemini-2.5-pro", Usage(200_000, 1000)) == 250_000 + 10_000
    assert cost_micros("gemini", "gemini-2.5-pro", Usage(200_001, 1000)) == 500_003 + 15_000


@pytest.mark.parametrize(
    ("source", "model", "tier", "micros"),
    [
        ("openai", "gpt-5", "", 1_250_000 + 10_000_000),
        ("openai", "gpt-5", "default", 1_250_000 + 10_000_000),
        ("openai", "gpt-5", "flex", 625_000 + 5_000_000),
        ("openai", "gpt-5", "priority", 2_500_000 + 20_000_000),
        ("openai", "gpt-5", "of-another-vendor", 1_250_000 + 10_000_000),
        ("anthropic", "claude-haiku-4-5", "standard", 1_000_000 + 5_000_000),
        ("anthropic", "claude-haiku-4-5", "batch", 500_000 + 2_500_000),
    ],
)
def test_a_service_tier_has_its_price(source: str, model: str, tier: str, micros: int) -> None:
    usage = Usage(1_000_000, 1_000_000, service_tier=tier)
    assert cost_micros(source, model, usage) == micros


def test_what_a_cache_keeps_for_an_hour_costs_more() -> None:
    # claude-haiku-4-5: $1.25 a million tokens for five minutes, $2 for an hour
    usage = Usage(1_000_000, 0, cache_write_tokens=1_000_000, cache_write_1h_tokens=400_000)
    assert cost_micros("anthropic", "claude-haiku-4-5", usage) == 750_000 + 800_000


def test_part_of_a_micro_dollar_is_rounded_to_the_nearest() -> None:
    assert cost_micros("openai", "gpt-4o-mini", Usage(3, 0)) == 0  # 0.45
    assert cost_micros("openai", "gpt-4o-mini", Usage(4, 0)) == 1  # 0.60


OWN = ProviderSettings(
    kind=ProviderKind.OPENAI,
    prices={
        "llama-3": PriceSettings(input=0.2, output=0.6, cache_read=0.05),
        "qwen-*": PriceSettings(input=1, output=1, cache_write=2, cache_write_1h=3),
        "local-*": PriceSettings(input=0, output=0),
        "gpt-4o": PriceSettings(max_output_tokens=500),
    },
)


def test_a_price_of_the_settings_comes_first() -> None:
    prices = price_list_of("my-vllm", OWN)
    usage = Usage(1_000_000, 1_000_000, cache_read_tokens=500_000)
    assert prices.cost_micros("llama-3", usage, at=AT) == 100_000 + 25_000 + 600_000
    kept = Usage(1_000_000, 0, cache_write_tokens=500_000, cache_write_1h_tokens=200_000)
    assert prices.cost_micros("qwen-3", kept, at=AT) == 500_000 + 600_000 + 600_000
    assert prices.cost_micros("local-7b", usage, at=AT) == 0  # known, and nothing
    assert prices.cost_micros("llama-4", usage, at=AT) is None


def test_a_longest_answer_alone_leaves_the_listed_price() -> None:
    assert price_list_of("openai", OWN).cost_micros("gpt-4o", Usage(0, 1000), at=AT) == 10_000


@pytest.mark.parametrize("given", [{"input": 1.0}, {"output": 1.0}, {"cache_read": 0.1}])
def test_half_a_price_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="go"):
        PriceSettings(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "usage",
    [Usage(100, 10), Usage(100, 10, 100), Usage(100, 10, 0, 100), Usage(300_000, 9)],
)
@pytest.mark.parametrize(
    ("source", "model"),
    [("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-pro")],
)
def test_no_call_costs_more_than_the_most(source: str, model: str, usage: Usage) -> None:
    tariff = PriceList(source).tariff(model, at=AT)
    assert tariff is not None
    cost = tariff.cost_micros(usage)
    assert cost is not None
    assert cost <= tariff.most_micros(usage.input_tokens, usage.output_tokens)
    assert tariff.most_micros(usage.input_tokens + 1, usage.output_tokens + 1) > cost


def test_the_most_is_that_of_a_cache_kept_for_an_hour() -> None:
    tariff = PriceList("anthropic").tariff("claude-haiku-4-5", at=AT)
    assert tariff is not None
    assert tariff.most_micros(1_000_000, 0) == 2_000_000


@pytest.mark.parametrize(
    ("source", "model", "micros"),
    [
        ("gemini", "gemini-2.5-flash-image", 30_000 + 250),
        ("openai", "gpt-image-1.5", 32_000 + 1000),
    ],
)
def test_images_in_an_answer_have_a_price_of_their_own(
    source: str, model: str, micros: int
) -> None:
    usage = Usage(0, 1100, image_tokens=1000)
    prices = PriceList(source)
    assert prices.cost_micros(model, usage, at=datetime.now(UTC)) == micros
    tariff = prices.tariff_now(model)
    assert tariff is not None
    assert tariff.most_micros(0, 1100) >= micros
    assert prices.cost_micros(model, Usage(0, 5, image_tokens=6), at=datetime.now(UTC)) is None


def test_a_second_key_of_a_vendor_pays_as_the_first_and_a_server_of_its_own_does_not() -> None:
    first, second = ProviderSettings(kind=ProviderKind.OPENAI), "mine"
    known = price_list_of("openai", first).cost_micros("gpt-4o", USAGE, at=AT)
    assert known == price_list_of(second, first).cost_micros("gpt-4o", USAGE, at=AT)
    own = first.model_copy(update={"base_url": "http://127.0.0.1:8000/v1"})
    assert price_list_of(second, own).cost_micros("gpt-4o", USAGE, at=AT) is None
