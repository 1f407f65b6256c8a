"""A model tells its provider, or is told to."""

import pytest

from promptmill.producer.routing import Route, route
from promptmill.schema.errors import UsageError
from promptmill.schema.provider_kinds import ProviderKind

PROVIDERS = {kind.value: kind for kind in ProviderKind}
LOCAL = {"local": ProviderKind.OPENAI}


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o-mini", "openai"),
        ("o3", "openai"),
        ("o4-mini", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("ft:gpt-4o:me", "openai"),
        ("claude-haiku-4-5", "anthropic"),
        ("gemini-2.5-flash", "gemini"),
        ("gemma-3", "gemini"),
    ],
)
def test_a_model_tells_its_provider(model: str, provider: str) -> None:
    assert route(model, PROVIDERS) == Route(provider, model)


def test_a_prefix_names_the_provider_and_the_rest_is_the_model() -> None:
    both = PROVIDERS | LOCAL
    assert route("local/meta-llama/Llama-3", both) == Route("local", "meta-llama/Llama-3")
    assert route("gpt-4o", both) == Route("openai", "gpt-4o")


def test_the_only_provider_of_a_kind_answers_its_models() -> None:
    assert route("gpt-4o", LOCAL) == Route("local", "gpt-4o")


@pytest.mark.parametrize("model", ["llama-3", "ollama", "o3x", "", "gpt"])
def test_a_model_that_tells_nothing_is_refused_with_what_is_known(model: str) -> None:
    with pytest.raises(UsageError, match=r"write provider/model; .*anthropic, gemini, openai"):
        route(model, PROVIDERS)


@pytest.mark.parametrize("model", ["mistral/large", "/gpt-4o", "models/gemini-2.5-flash"])
def test_an_unknown_provider_is_refused_by_name(model: str) -> None:
    with pytest.raises(UsageError, match=r"not known: .*anthropic, gemini, openai") as caught:
        route(model, PROVIDERS)
    assert repr(model.partition("/")[0]) in str(caught.value)


def test_a_provider_without_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match="names no model"):
        route("openai/", PROVIDERS)


def test_a_model_of_a_kind_that_nobody_serves_is_refused() -> None:
    with pytest.raises(UsageError, match="write provider/model"):
        route("claude-haiku-4-5", LOCAL)


def test_a_rule_goes_before_the_name_and_may_rename() -> None:
    both = PROVIDERS | LOCAL
    rules = {"gpt-4o": "local/llama", "meta-llama/*": "local", "gpt-*": "openai"}
    assert route("gpt-4o", both, rules=rules) == Route("local", "llama")
    assert route("meta-llama/L3", both, rules=rules) == Route("local", "meta-llama/L3")
    assert route("gpt-5", both, rules=rules) == Route("openai", "gpt-5")
    assert route("openai/gpt-4o", both, rules=rules) == Route("openai", "gpt-4o")
    with pytest.raises(UsageError, match="routes names the provider 'nobody'"):
        route("x", both, rules={"x": "nobody"})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("gtp-4o", "gpt-4o"), ("cluade-haiku-4-5", "claude-haiku-4-5"), ("Gemini-2.5", "gemini-2.5")],
)
def test_a_misspelt_family_is_told(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"is it {meant}\?"):
        route(typed, PROVIDERS)
