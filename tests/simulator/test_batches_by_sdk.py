"""The batch APIs, as the providers' official SDKs use them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest

from promptmill.simulator import Simulator
from tests.simulator.clients import Sdks

Start = Callable[..., Simulator]
CHAT: Final = "/v1/chat/completions"


def line(custom_id: str, text: str, url: str = CHAT) -> dict[str, Any]:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def lines(client: openai.OpenAI, file: str | None) -> dict[str, Any]:
    assert file is not None
    told = [json.loads(one) for one in client.files.content(file).text.splitlines()]
    return {one["custom_id"]: one for one in told}


def test_openai_takes_a_file_and_gives_two(start: Start, sdks: Sdks) -> None:
    simulator = start(batch_s=60.0)
    client = sdks.openai(simulator)
    simulator.add_fault("invalid_request", contains="wrong")
    asked = [line("a", "hello"), line("b", "wrong"), line("c", "hello"), line("d", "late")]
    file = client.files.create(
        file=("in.jsonl", "\n".join(map(json.dumps, asked)).encode()), purpose="batch"
    )
    made = client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"name": "mine"}
    )
    assert made.status == "in_progress"
    ended = client.batches.cancel(made.id)
    assert ended.status == "cancelled"
    assert ended.request_counts is not None
    assert (ended.request_counts.completed, ended.request_counts.failed) == (1, 1)
    found = next(iter(client.batches.list()))
    assert (found.id, found.metadata) == (made.id, {"name": "mine"})
    assert lines(client, ended.output_file_id)["a"]["response"]["status_code"] == 200
    failed = lines(client, ended.error_file_id)
    assert failed["b"]["response"]["status_code"] == 400
    assert failed["c"]["error"]["code"] == "batch_cancelled"
    (charged,) = [row for row in simulator.bill() if row.billed]
    assert (charged.client_request_id, charged.half_price) == ("a", True)


def test_openai_refuses_a_file_by_its_lines(start: Start, sdks: Sdks) -> None:
    client = sdks.openai(start())
    asked = [line("a", "hello"), line("a", "again"), line("b", "hello", url="/v1/responses")]
    content = "\n".join(map(json.dumps, asked)).encode()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    assert made.status == "failed"
    assert made.errors is not None
    assert [one.line for one in made.errors.data or ()] == [2, 3]


def test_anthropic_answers_each_request_by_its_custom_id(start: Start, sdks: Sdks) -> None:
    simulator = start()
    client = sdks.anthropic(simulator)
    simulator.add_fault("expired", contains="late")
    simulator.add_fault("dropped", contains="lost")

    def asked(text: str) -> Any:
        messages = [{"role": "user", "content": text}]
        params = {"model": "claude-sonnet-5", "max_tokens": 20, "messages": messages}
        return {"custom_id": text, "params": params}

    made = client.messages.batches.create(requests=[asked(t) for t in ("hello", "late", "lost")])
    ended = client.messages.batches.retrieve(made.id)
    assert ended.processing_status == "ended"
    assert (ended.request_counts.expired, ended.request_counts.succeeded) == (1, 2)
    came = {one.custom_id: one.result.type for one in client.messages.batches.results(made.id)}
    assert came == {"hello": "succeeded", "late": "expired"}
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve("msgbatch_none")


def test_gemini_takes_a_file_and_gives_one(start: Start, sdks: Sdks, tmp_path: Path) -> None:
    client = sdks.gemini(start())
    asked = tmp_path / "in.jsonl"
    request = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    asked.write_text(json.dumps({"key": "a", "request": request}), encoding="utf-8")
    file = client.files.upload(file=asked, config={"mime_type": "application/jsonl"})
    made = client.batches.create(
        model="gemini-2.5-flash", src=str(file.name), config={"display_name": "mine"}
    )
    ended = client.batches.get(name=str(made.name))
    assert ended.state is not None
    assert (ended.display_name, ended.state.name) == ("mine", "JOB_STATE_SUCCEEDED")
    assert [one.name for one in client.batches.list()] == [made.name]
    assert ended.dest is not None
    content = client.files.download(file=str(ended.dest.file_name))
    answer = json.loads(content)
    assert answer["key"] == "a"
    assert answer["response"]["candidates"][0]["content"]["parts"][0]["text"]
