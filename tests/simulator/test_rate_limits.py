"""Limits over HTTP: what a client is told when it asks for too much, and what each one counts."""

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors

from promptmill.simulator import Limits, Shape, Simulator
from tests.simulator.clients import Sdks

Start = Callable[..., Simulator]
MESSAGE = {"role": "user", "content": "x" * 400}


def refusal(sdks: Sdks, provider: str, simulator: Simulator) -> Any:
    """Ask, be refused by a limit, and return the SDK's exception."""
    refused = (openai.RateLimitError, anthropic.RateLimitError, errors.ClientError)
    with pytest.raises(refused) as caught:
        sdks.ask(provider, simulator)
    return caught.value


def test_openai_says_which_limit_when_to_come_back_and_takes_no_token(
    start: Start, sdks: Sdks
) -> None:
    simulator = start(limits=Limits(rpm=1, shape=Shape.SLIDING_MINUTE))
    sdks.ask("openai", simulator)
    with pytest.raises(openai.RateLimitError) as caught:
        sdks.ask("openai", simulator)
    headers = caught.value.response.headers
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
    assert headers["retry-after"] == "60"
    assert 59_000 < int(headers["retry-after-ms"]) <= 60_000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "Limit 1, Used 1, Requested 1" in caught.value.message
    assert [row.billed for row in simulator.bill()] == [True, False]


def test_openai_counts_max_tokens_when_that_is_more_than_the_prompt(
    start: Start, sdks: Sdks
) -> None:
    simulator = start(limits=Limits(tpm=1000))
    client = sdks.openai(simulator)
    client.chat.completions.create(
        model="gpt-4o",
        max_tokens=800,
        messages=[MESSAGE],  # type: ignore[list-item]
    )
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(
            model="gpt-4o",
            max_tokens=800,
            messages=[MESSAGE],  # type: ignore[list-item]
        )
    assert caught.value.type == "tokens"


def test_openai_says_so_when_a_request_can_never_fit(start: Start, sdks: Sdks) -> None:
    simulator = start(limits=Limits(tpm=50))
    with pytest.raises(openai.RateLimitError, match="Request too large") as caught:
        sdks.ask("openai", simulator, "x" * 400)
    assert "retry-after" not in caught.value.response.headers


def test_anthropic_ignores_max_tokens_and_counts_output_when_it_is_there(
    start: Start, sdks: Sdks
) -> None:
    simulator = start(limits=Limits(otpm=50), answer_tokens=60)
    client = sdks.anthropic(simulator)
    client.messages.create(model="claude-sonnet-5", max_tokens=5000, messages=[MESSAGE])  # type: ignore[list-item]
    with pytest.raises(anthropic.RateLimitError, match="output tokens per minute") as caught:
        client.messages.create(model="claude-sonnet-5", max_tokens=5000, messages=[MESSAGE])  # type: ignore[list-item]
    assert caught.value.type == "rate_limit_error"
    assert 10 < int(caught.value.response.headers["retry-after"]) <= 15


def test_anthropic_counts_input_at_the_start(start: Start, sdks: Sdks) -> None:
    simulator = start(limits=Limits(itpm=150))
    sdks.ask("anthropic", simulator, "x" * 400)
    with pytest.raises(anthropic.RateLimitError, match="150 input tokens per minute"):
        sdks.ask("anthropic", simulator, "x" * 400)


def test_gemini_counts_input_alone(start: Start, sdks: Sdks) -> None:
    simulator = start(limits=Limits(tpm=200, shape=Shape.FIXED_MINUTE), answer_tokens=5000)
    sdks.ask("google-genai", simulator, "x" * 400)
    sdks.ask("google-genai", simulator, "x" * 400)
    with pytest.raises(errors.ClientError) as caught:
        sdks.ask("google-genai", simulator, "x" * 400)
    violation = caught.value.details["error"]["details"][1]["violations"][0]
    assert "InputTokens" in violation["quotaId"]
    assert "PerMinute" in violation["quotaId"]
    assert violation["quotaValue"] == "200"


def test_gemini_tells_the_delay_in_the_body_and_in_no_header(start: Start, sdks: Sdks) -> None:
    simulator = start(limits=Limits(rpd=1))
    sdks.ask("google-genai", simulator)
    with pytest.raises(errors.ClientError) as caught:
        sdks.ask("google-genai", simulator)
    details = caught.value.details["error"]["details"]
    assert "PerDay" in details[1]["violations"][0]["quotaId"]
    assert details[2]["retryDelay"] == "86400s"
    assert "retry-after" not in caught.value.response.headers


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_headers_tell_no_limit_when_they_are_told_not_to(
    provider: str, start: Start, sdks: Sdks
) -> None:
    simulator = start(limits=Limits(rpm=1), limit_headers=False)
    sdks.ask(provider, simulator)
    headers = refusal(sdks, provider, simulator).response.headers
    assert [name for name in headers if "ratelimit" in name] == []
    assert "retry-after" in headers


def test_a_refusal_says_nothing_of_when_to_come_back_when_it_is_told_not_to(
    start: Start, sdks: Sdks
) -> None:
    simulator = start(limits=Limits(rpm=1), retry_after=False)
    for provider in ("openai", "anthropic", "google-genai"):
        sdks.ask(provider, simulator)
        refused = refusal(sdks, provider, simulator)
        told = [name for name in refused.response.headers if name.startswith("retry-after")]
        assert told == []
        assert "retryDelay" not in str(refused)
        assert "try again in" not in str(refused)


def test_a_fault_with_its_own_time_tells_it_all_the_same(start: Start, sdks: Sdks) -> None:
    simulator = start(retry_after=False)
    simulator.add_fault("rate", retry_after="7")
    with pytest.raises(openai.RateLimitError) as caught:
        sdks.ask("openai", simulator)
    assert caught.value.response.headers["retry-after"] == "7"


def test_only_known_keys_are_let_in(start: Start, sdks: Sdks) -> None:
    simulator = start(keys=frozenset({"good"}))
    assert sdks.openai(simulator, "good").models.list().data
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        sdks.openai(simulator, "bad").models.list()
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        sdks.ask("anthropic", simulator)
    with pytest.raises(errors.ClientError, match="API_KEY_INVALID"):
        sdks.ask("google-genai", simulator)
