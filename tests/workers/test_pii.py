"""Personal data is masked before it is stored and sent, and put back where that is asked for."""

import io
import json
from pathlib import Path

import pytest

from promptmill.producer.export import ExportRequest, Format, export
from promptmill.producer.reading import ReadOptions
from promptmill.producer.results import results_in_order
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.submission import submit
from promptmill.producer.unmasking import put_back
from promptmill.schema.pii.values import MaskPii
from promptmill.schema.states import JobState
from tests.services.running_mill import RunningMill

pytestmark = pytest.mark.usefixtures("worker")

EMAIL, OTHER, CARD = "ada@example.com", "bob@example.org", "4111 1111 1111 1111"
ASKED = "Who is <EMAIL_1>, with <CARD_1>?"
SAID = f"<EMAIL_1> asked {OTHER} about {CARD}"
KEPT = "<EMAIL_1> asked <EMAIL_A1> about <CARD_A1>"


def submitted(mill: RunningMill, path: Path, mask: MaskPii | None) -> int:
    """Submit two prompts that differ in nothing but personal data, and answer them."""
    rows = [{"text": f"Who is {who}, with {CARD}?"} for who in (EMAIL, OTHER)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = ReadOptions(template="{text}", model="openai/gpt-4o-mini")
    request = SubmitRequest(path, reading, dedupe=True, mask_pii=mask)
    batch = submit(mill.database, request, mill.settings).batch_id
    mill.wait_done(batch)
    return batch


def test_prompts_and_answers_are_masked_and_put_back(mill: RunningMill, tmp_path: Path) -> None:
    message = {"role": "assistant", "content": SAID}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {"id": "x", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [choice]}
    mill.simulator.add_fault("raw", contains=ASKED, status=200, body=json.dumps(answer))
    batch = submitted(mill, tmp_path / "in.jsonl", MaskPii.BOTH)
    assert mill.requests(batch) == 1, "masked they are equal"
    apart = mill.sql("select distinct value from pii_map order by value")
    assert [row["value"] for row in apart] == [CARD, EMAIL, OTHER]
    for table in ("job_payloads", "results", "result_bodies", "attempts", "attempt_bodies"):
        rows = str(mill.sql(f"select * from {table}"))
        assert not any(value in rows for value in (CARD, EMAIL)), table
    kept = list(results_in_order(mill.database, batch, states=(JobState.SUCCEEDED,)))
    assert [one.text for one in kept] == [KEPT, KEPT]
    whole = [f"{who} asked {OTHER} about {CARD}" for who in (EMAIL, OTHER)]
    assert [one.text for one in put_back(mill.database, kept)] == whole
    file = io.BytesIO()
    columns = ("text", "request")
    export(mill.database, ExportRequest(batch, file, Format.JSONL, columns=columns, unmask=True))
    written = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [row["text"] for row in written] == whole
    assert EMAIL in json.dumps(written[0]["request"])

    plain = submitted(mill, tmp_path / "in.jsonl", None)
    assert plain != batch
    assert mill.requests(plain) == 2, "what is not masked differs"
    ids = f"select id from jobs where batch_id = {plain}"
    assert mill.sql(f"select * from pii_map where job_id in ({ids})") == []
