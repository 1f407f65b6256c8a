"""Calls that are waited for, by OpenAI's own client; each is a row like any other."""

import pytest
from openai import APIError, APITimeoutError, BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.gateway.conftest import IDLE
from tests.services.running_mill import MODELS, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world


def test_every_provider_answers_at_once_in_openais_words(mill: RunningMill, client: OpenAI) -> None:
    before = len(mill.sql("select 1 from attempts"))
    for provider, model in MODELS.items():
        messages = say(f"Hello {provider}")
        said = client.chat.completions.create(model=model, messages=messages)
        assert said.choices[0].message.content
        assert said.usage
        streamed = client.chat.completions.create(
            model=model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(streamed)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[-1].usage
    vector = client.embeddings.create(model="text-embedding-3-small", input="word")
    assert vector.data[0].embedding
    assert client.responses.create(model=MODELS["openai"], input="word").output_text
    rows = mill.sql("select cost_micros from attempts")[before:]
    assert len(rows) == 2 * len(MODELS) + 2
    assert all(row["cost_micros"] is not None for row in rows)
    assert_world(mill)


def test_what_is_refused_has_the_providers_status_and_words(
    mill: RunningMill, client: OpenAI
) -> None:
    mill.simulator.add_fault("invalid_request", contains="refuse me")
    messages = say("refuse me")
    with pytest.raises(BadRequestError):
        client.chat.completions.create(model=MODELS["openai"], messages=messages)
    with pytest.raises(APIError):
        list(
            client.chat.completions.create(
                model=MODELS["openai"],
                messages=messages,
                stream=True,
            )
        )
    with pytest.raises(BadRequestError, match="does not tell its provider"):
        client.chat.completions.create(model="unheard-of", messages=messages)
    with pytest.raises(BadRequestError, match="messages is missing"):
        client.chat.completions.create(model=MODELS["openai"], messages=[])
    assert client.models.retrieve(MODELS["gemini"]).owned_by == "gemini"
    assert [one.id for one in client.models.list()] == []
    with pytest.raises(NotFoundError, match="answered by nobody"):
        client.models.retrieve("unheard-of")


def test_a_call_whose_client_has_left_is_not_made(mill: RunningMill, client: OpenAI) -> None:
    messages = say("Hello")
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=1.0).chat.completions.create(
            model=f"{IDLE}/{MODELS['openai']}",
            messages=messages,
        )
    left = "select count(*) as n from jobs where provider = 'idle' and state < 4"
    wait_until(lambda: mill.sql(left)[0]["n"] == 0, "the call to be cancelled")
    assert mill.sql("select count(*) as n from jobs where provider = 'idle'")[0]["n"] >= 1


def say(text: str) -> list[ChatCompletionMessageParam]:
    """Make the messages of a call."""
    return [{"role": "user", "content": text}]
