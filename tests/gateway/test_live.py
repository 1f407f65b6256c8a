"""Calls that are waited for, by OpenAI's own client; each is a row like any other."""

import json

import pytest
from openai import APIError, APITimeoutError, BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from tests.gateway.conftest import BY_WORKERS, IDLE
from tests.services.published import hold_event
from tests.services.running_gateway import RunningGateway
from tests.services.running_mill import MODELS, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world


def test_every_provider_answers_at_once_in_openais_words(mill: RunningMill, client: OpenAI) -> None:
    before = mill.sql("select coalesce(max(id), 0) as id from jobs")[0]["id"]
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
        words = [c.choices[0].delta.content or "" for c in chunks if c.choices]
        assert "".join(words) == said.choices[0].message.content
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[-1].usage == said.usage
        assert len({(chunk.id, chunk.model) for chunk in chunks}) == 1
    vector = client.embeddings.create(model="text-embedding-3-small", input="word")
    assert vector.data[0].embedding
    whole = client.responses.create(model=MODELS["openai"], input="word").output_text
    events = list(client.responses.create(model=MODELS["openai"], input="word", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == whole
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        hold_event(event.to_dict())
    rows = mill.sql(
        "select a.provider, a.cost_micros, w.id = b.waited_by as live from attempts a"
        " join workers w on w.id = a.worker_id join batches b on b.id = a.batch_id"
        f" join workers g on g.id = b.waited_by and g.keys = '{{}}' where a.job_id > {before}"
    )
    assert len(rows) == 2 * len(MODELS) + 3
    assert all(row["cost_micros"] is not None for row in rows)
    assert {row["provider"] for row in rows if not row["live"]} == BY_WORKERS - {IDLE}
    assert_world(mill)


def test_words_are_heard_while_they_are_said_and_a_client_that_leaves_ends_the_call(
    mill: RunningMill, client: OpenAI
) -> None:
    mill.simulator.add_fault("stall", contains="stall here")
    for model in (MODELS["openai"], MODELS["anthropic"]):
        stream = client.chat.completions.create(
            model=model, messages=say(f"stall here {model}"), stream=True
        )
        assert any(chunk.choices[0].delta.content for chunk in stream)
        (last,) = mill.sql("select id, state from jobs order by id desc limit 1")
        assert last["state"] == JobState.RUNNING
        stream.close()
        job = f"select state from jobs where id = {last['id']}"
        wait_until(
            lambda job=job: mill.sql(job)[0]["state"] == JobState.CANCELLED,  # type: ignore[misc]
            "the call to end",
        )
        (attempt,) = mill.sql(f"select * from attempts where job_id = {last['id']}")
        assert attempt["outcome"] == AttemptOutcome.UNKNOWN
        assert "nobody waited" in attempt["error_text"]
        assert (attempt["output_tokens"] is not None) == (model == MODELS["anthropic"])


@pytest.mark.parametrize(
    ("accident", "told"),
    [("cut", "no complete answer came"), ("raw", "answered 200 with no chat completion")],
)
def test_an_answer_that_breaks_off_after_its_first_words_is_an_error_and_not_asked_again(
    mill: RunningMill, client: OpenAI, accident: str, told: str
) -> None:
    words = {"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 7, "choices": [words]}
    body = f"data: {json.dumps(chunk)}\n\ndata: nonsense\n\n"
    events = {"body": body, "content_type": "text/event-stream"} if accident == "raw" else {}
    mill.simulator.add_fault(accident, contains=f"{accident} here", **events)
    stream = client.chat.completions.create(
        model=MODELS["openai"], messages=say(f"{accident} here"), stream=True
    )
    heard: list[str | None] = []
    with pytest.raises(APIError, match=told):
        heard.extend(chunk.choices[0].delta.content for chunk in stream)
    (last,) = mill.sql("select id, state from jobs order by id desc limit 1")
    assert last["state"] == JobState.QUARANTINED
    assert len(mill.sql(f"select 1 from attempts where job_id = {last['id']}")) == 1


def test_what_fails_before_the_first_word_is_asked_again_here_or_by_a_worker(
    mill: RunningMill, client: OpenAI
) -> None:
    for provider in ("openai", "gemini"):
        mill.simulator.add_fault("server_error", contains=f"again {provider}", count=1)
        stream = client.chat.completions.create(
            model=MODELS[provider], messages=say(f"again {provider}"), stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        (last,) = mill.sql("select id, attempts from jobs order by id desc limit 1")
        assert last["attempts"] == 2


def test_a_call_takes_the_answer_to_an_equal_one_of_its_tenant_where_it_says_so(
    mill: RunningMill, served: RunningGateway, client: OpenAI
) -> None:
    ours, asked = served.client(), say("a question that is asked again and again")
    stranger = served.client(served.key("others"))

    def ask(who: OpenAI, cache: str) -> str:
        chunks = who.chat.completions.create(
            model=MODELS["openai"],
            messages=asked,
            stream=True,
            extra_headers={"x-promptmill-cache": cache},
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    said = [ask(client, "on"), ask(ours, "1h"), ask(stranger, "on"), ask(client, "off")]
    assert len(set(said)) == 1
    attempts = mill.sql("select outcome, cost_micros from attempts order by job_id desc limit 4")
    outcomes = [row["outcome"] == AttemptOutcome.NOT_SENT for row in reversed(attempts)]
    assert outcomes == [False, True, False, False]
    assert attempts[2]["cost_micros"] == 0
    with pytest.raises(BadRequestError, match="x-promptmill-cache"):
        ask(client, "perhaps")
    assert_world(mill)


def test_what_is_refused_has_the_providers_status_and_words(
    mill: RunningMill, client: OpenAI
) -> None:
    mill.simulator.add_fault("invalid_request", contains="refuse me")
    messages = say("refuse me")
    for model in (MODELS["openai"], MODELS["gemini"]):
        with pytest.raises(BadRequestError):
            client.chat.completions.create(model=model, messages=messages)
        with pytest.raises(BadRequestError):
            client.chat.completions.create(model=model, messages=messages, stream=True)
    with pytest.raises(BadRequestError, match="nothing was sent to anthropic"):
        client.chat.completions.create(
            model=MODELS["anthropic"], messages=messages, extra_body={"unheard_of": 1}
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
    call = f"select state from jobs where provider = 'idle' and state = {JobState.CANCELLED:d}"
    wait_until(lambda: mill.sql(call), "the call to be cancelled")


def say(text: str) -> list[ChatCompletionMessageParam]:
    """Make the messages of a call."""
    return [{"role": "user", "content": text}]
