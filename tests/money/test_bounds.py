"""What a call can cost at most: more than it ever costs, and unknown where nobody can say."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptmill.schema.bounds import Terms, Unbounded, longest_answer, most_micros
from promptmill.schema.outcomes import Usage
from promptmill.schema.prices import PriceList, price_list_of
from promptmill.schema.requests import Endpoint, native_request
from promptmill.schema.settings import PriceSettings, ProviderKind, ProviderSettings
from promptmill.schema.tokens import count_input

MINI = Terms(PriceList("openai"), ProviderKind.OPENAI, "gpt-4o-mini")
CLAUDE = Terms(PriceList("anthropic"), ProviderKind.ANTHROPIC, "claude-haiku-4-5")
FLASH = Terms(PriceList("gemini"), ProviderKind.GEMINI, "gemini-2.5-flash")


def asking(*texts: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts], **more}


def most(terms: Terms, body: dict[str, Any]) -> int | Unbounded:
    return most_micros(terms, body, msgspec.json.encode(body))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4), st.integers(1, 500))
def test_no_text_costs_more_than_the_bound(texts: list[str], longest: int) -> None:
    body = asking(*texts, max_tokens=longest)
    for terms in (MINI, CLAUDE, FLASH):
        cost = terms.prices.cost_micros(
            terms.model, Usage(count_input(terms.kind, body), longest), at=datetime.now(UTC)
        )
        bound = most(terms, body)
        assert isinstance(bound, int)
        assert cost is not None
        assert cost <= bound


@pytest.mark.parametrize(
    ("terms", "tokens"),
    [
        (MINI, 16_384),
        (Terms(PriceList("openai"), ProviderKind.OPENAI, "gpt-5-mini"), 128_000),
        (Terms(PriceList("openai"), ProviderKind.OPENAI, "gpt-5-pro"), 400_000),  # its window
        (Terms(PriceList("openai"), ProviderKind.OPENAI, "o3"), 100_000),
        (Terms(PriceList("openai"), ProviderKind.OPENAI, "my-own"), None),
        (CLAUDE, 4096),
        (FLASH, 65_536),
    ],
    ids=lambda each: each.model if isinstance(each, Terms) else str(each),
)
def test_without_a_maximum_an_answer_may_be_as_long_as_the_model_gives(
    terms: Terms, tokens: int | None
) -> None:
    assert longest_answer(terms, asking("hello")) == tokens
    assert longest_answer(terms, asking("hello", max_tokens=7)) == 7
    assert longest_answer(terms, asking("hello", max_completion_tokens=8)) == 8


def test_a_longest_answer_of_the_settings_comes_before_the_table() -> None:
    own = ProviderSettings(
        kind=ProviderKind.OPENAI, prices={"gpt-4o*": PriceSettings(max_output_tokens=100)}
    )
    terms = Terms(price_list_of("openai", own), ProviderKind.OPENAI, "gpt-4o-mini")
    assert longest_answer(terms, asking("hello")) == 100


def test_what_is_no_text_may_fill_the_window() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    body = {"messages": [{"role": "user", "content": [picture]}], "max_tokens": 1}
    assert most(MINI, body) == -(-(128_000 * 0.15 + 0.60) // 1)


def test_tools_and_schemas_bring_instructions_that_nobody_sees() -> None:
    plain, tool = asking("hello", max_tokens=1), {"type": "function", "function": {"name": "f"}}
    with_tool = plain | {"tools": [tool]}
    more = most(MINI, with_tool), most(MINI, plain)
    assert isinstance(more[0], int)
    assert isinstance(more[1], int)
    assert more[0] - more[1] >= 1000 * 0.15


NATIVE: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}
CONTENTS: dict[str, Any] = {"contents": [{"parts": [{"text": "hello"}]}]}


@pytest.mark.parametrize(
    ("terms", "body", "named"),
    [
        (MINI, asking("x", web_search_options={"a": 1}), "web_search_options"),
        (MINI, asking("x", modalities=["audio"]), "modalities"),
        (MINI, asking("x", service_tier="priority"), "service_tier"),
        (CLAUDE, {"native": NATIVE | {"tools": [{"type": "web_search_20260209"}]}}, "web_search"),
        (CLAUDE, {"native": NATIVE | {"mcp_servers": [{"url": "x"}]}}, "mcp_servers"),
        (FLASH, {"native": CONTENTS | {"tools": [{"googleSearch": {}}]}}, "googleSearch"),
        (FLASH, {"native": CONTENTS | {"cachedContent": "x"}}, "cachedContent"),
        (FLASH, {"native": CONTENTS | {"generationConfig": {"candidateCount": 2}}}, "candidate"),
        (Terms(PriceList("openai"), ProviderKind.OPENAI, "my-own"), asking("x"), "price of my-own"),
    ],
)
def test_what_costs_other_than_by_tokens_is_unbounded_and_named(
    terms: Terms, body: dict[str, Any], named: str
) -> None:
    found = most(terms, body)
    assert isinstance(found, Unbounded)
    assert named in found.problem


@pytest.mark.parametrize(
    ("terms", "native"),
    [
        (CLAUDE, NATIVE | {"tools": [{"name": "f", "input_schema": {}}]}),
        (FLASH, CONTENTS | {"generationConfig": {"maxOutputTokens": 10}}),
        (FLASH, CONTENTS | {"tools": [{"functionDeclarations": []}]}),
    ],
)
def test_a_providers_own_body_is_bounded_too(terms: Terms, native: dict[str, Any]) -> None:
    assert isinstance(most(terms, {"native": native}), int)


def asked_of(model: str, endpoint: Endpoint, **body: Any) -> int | Unbounded:
    terms = Terms(PriceList("openai"), ProviderKind.OPENAI, model)
    return most(terms, native_request(body, endpoint))


def test_embeddings_cost_their_input_and_moderations_nothing() -> None:
    bound = asked_of("text-embedding-3-small", Endpoint.EMBEDDINGS, input="hello " * 1000)
    assert isinstance(bound, int)
    assert 20 <= bound <= 1000
    picture = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    assert asked_of("omni-moderation-latest", Endpoint.MODERATIONS, input=[picture]) == 0


def test_images_are_bounded_where_somebody_tells_the_dearest() -> None:
    one = asked_of("gpt-image-1", Endpoint.IMAGES, prompt="a mill")
    three = asked_of("gpt-image-1", Endpoint.IMAGES, prompt="a mill", n=3)
    assert isinstance(one, int)
    assert isinstance(three, int)
    assert 2.9 * one < three < 3.1 * one
    unbounded = asked_of("gpt-image-1.5", Endpoint.IMAGES, prompt="a mill")
    assert isinstance(unbounded, Unbounded)
    assert "of one image" in unbounded.problem
    assert "max_tokens N" not in unbounded.problem


def test_a_response_that_refers_to_what_is_elsewhere_may_fill_the_window() -> None:
    plain = asked_of("gpt-5-mini", Endpoint.RESPONSES, input="hi", max_output_tokens=10)
    refers = asked_of(
        "gpt-5-mini",
        Endpoint.RESPONSES,
        input="hi",
        max_output_tokens=10,
        previous_response_id="resp_1",
    )
    assert isinstance(plain, int)
    assert isinstance(refers, int)
    assert refers > 100 * plain
