"""`export`: what is in the file, in which order, and that it is there whole or not at all."""

import csv
import gzip
import json
import os
import pty
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from pyarrow import parquet, types

from promptmill.producer.export import ExportRequest, Format, What, export
from promptmill.schema import exporting
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.endings import StoredResult, fail, finish
from tests.cli.promptmill import PROGRAM, Here
from tests.schema.scene import ANSWERED, CUT, REFUSED, Scene
from tests.submit.inputs import answer, claim_all, hold_back, write_batch

EVIL = "=cmd|' /C calc'!A0 \x1b[2J\u202e\r\n\"quoted\", \U0001f600"
CALLS = '[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]'


@pytest.fixture
def batch_id(promptmill: Here, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> int:
    """Eight prompts: three answered (one by a tool call), two failed, one held, two to be done."""
    monkeypatch.setattr(exporting, "_PAGE", 2)
    batch = int(promptmill("submit", write_batch(Path("in.jsonl"), 8)).out)
    one, two, three, four, five, six = claim_all(scene, batch, most=6).items()
    answer(scene, *four, text="four")
    answer(scene, *one, text=EVIL)
    scene.close(finish(*six, ANSWERED, StoredResult(None, "tool_use", tool_calls=CALLS)))
    scene.close(fail(*two, REFUSED), fail(*three, CUT))
    hold_back(scene, *five)
    return batch


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_answers_are_json_lines_in_the_order_of_the_input(batch_id: int, promptmill: Here) -> None:
    said = promptmill("export", batch_id, "-o", "out.jsonl")
    assert (said.code, said.out) == (0, "")
    assert "3 answers of batch 1 to out.jsonl; 5 prompts have none: --failed, --all" in said.err
    found = lines(Path("out.jsonl"))
    assert [(one["custom_id"], one["text"]) for one in found] == [
        ("a1", EVIL),
        ("a4", "four"),
        ("a6", None),
    ]
    assert found[2]["tool_calls"] == json.loads(CALLS)
    assert (found[0]["cost_usd"], found[0]["input_tokens"]) == (0.0015, 100)
    assert found[0]["finished_at"] == "2026-11-22T10:59:00.000Z"


def test_what_failed_and_all_are_chosen(batch_id: int, promptmill: Here) -> None:
    promptmill("export", "--failed", "-o", "failed.jsonl")
    found = [(one["custom_id"], one["error_kind"]) for one in lines(Path("failed.jsonl"))]
    assert found == [("a2", "request"), ("a3", "unknown"), ("a5", "unknown")]
    promptmill("export", "--all", "-o", "all.jsonl", "--columns", "custom_id, state")
    assert [tuple(one.values()) for one in lines(Path("all.jsonl"))] == [
        ("a1", "succeeded"),
        ("a2", "failed"),
        ("a3", "failed"),
        ("a4", "succeeded"),
        ("a5", "quarantined"),
        ("a6", "succeeded"),
        ("a7", "pending"),
        ("a8", "pending"),
    ]


def test_the_request_and_other_columns_come_when_they_are_chosen(
    batch_id: int, promptmill: Here
) -> None:
    promptmill("export", "-o", "out.jsonl", "--columns=request,request_id,text")
    first = lines(Path("out.jsonl"))[0]
    assert list(first) == ["request", "request_id", "text"]
    assert first["request"]["messages"][0]["content"] == "about a1"


def test_csv_cells_are_no_formulas_unless_that_is_asked_for(
    batch_id: int, promptmill: Here
) -> None:
    for option, before in (([], "'"), (["--formulas"], "")):
        promptmill("export", "-o", "out.csv", *option)
        with Path("out.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["text"] for row in rows] == [before + EVIL, "four", ""]
        assert json.loads(rows[2]["tool_calls"]) == json.loads(CALLS)


def test_a_name_that_ends_in_gz_is_compressed(batch_id: int, promptmill: Here) -> None:
    promptmill("export", "-o", "out.csv.gz")
    with gzip.open("out.csv.gz", "rt", encoding="utf-8", newline="") as file:
        assert [row["custom_id"] for row in csv.DictReader(file)] == ["a1", "a4", "a6"]


def test_parquet_has_types(batch_id: int, promptmill: Here) -> None:
    promptmill("export", "--all", "-o", "out.parquet")
    table = parquet.read_table("out.parquet")
    assert table.column("text").to_pylist()[:4] == [EVIL, None, None, "four"]
    assert types.is_int64(table.schema.field("input_tokens").type)
    assert str(table.schema.field("finished_at").type) == "timestamp[ms, tz=UTC]"
    assert table.column("cost_usd").to_pylist()[0] == 0.0015


def test_openai_batch_files_have_each_custom_id_once_in_the_order_of_the_input(
    batch_id: int, promptmill: Here
) -> None:
    said = promptmill("export", "-o", "out.jsonl", "--format", "openai-batch")
    assert "3 answers of batch 1 to out.jsonl, 5 errors to out.errors.jsonl" in said.err
    answers, errors = lines(Path("out.jsonl")), lines(Path("out.errors.jsonl"))
    assert [one["custom_id"] for one in answers] == ["a1", "a4", "a6"]
    assert [one["custom_id"] for one in errors] == ["a2", "a3", "a5", "a7", "a8"]
    assert len({one["id"] for one in answers + errors}) == 8
    bodies = [ChatCompletion.model_validate(one["response"]["body"]) for one in answers]
    assert bodies[0].choices[0].message.content == EVIL
    assert bodies[0].usage is not None
    assert (bodies[0].usage.prompt_tokens, bodies[0].usage.total_tokens) == (100, 120)
    assert bodies[2].choices[0].finish_reason == "tool_calls"
    assert (errors[0]["response"]["status_code"], errors[0]["error"]) == (400, None)
    assert errors[1]["error"]["code"] == "timeout"
    assert errors[3]["error"]["code"] == "batch_not_finished"
    assert all((one["response"] is None) != (one["error"] is None) for one in errors)


def test_a_reader_never_sees_half_a_file(
    batch_id: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("out.jsonl").write_text("the one before")
    seen = []

    def break_off(done: int, _total: int) -> None:
        seen.append((Path("out.jsonl").read_text(), len(list(Path().glob(".out*")))))
        if done == 3:
            raise KeyboardInterrupt

    request = ExportRequest(batch_id, Path("out.jsonl"), Format.JSONL)
    with pytest.raises(KeyboardInterrupt):
        export(database, request, tell=break_off)
    assert seen == [("the one before", 1)] * 2
    assert Path("out.jsonl").read_text() == "the one before"
    assert not list(Path().glob(".out*"))


def test_an_export_shows_one_moment_while_workers_go_on(
    batch_id: int, database: Database, scene: Scene
) -> None:
    late = list(claim_all(scene, batch_id).items())

    def work(_done: int, _total: int) -> None:
        while late:
            answer(scene, *late.pop())

    request = ExportRequest(
        batch_id, Path("out.jsonl"), Format.JSONL, What.ALL, columns=("custom_id", "state")
    )
    assert export(database, request, tell=work).rows == 8
    assert [one["state"] for one in lines(Path("out.jsonl"))[6:]] == ["running", "running"]
    assert export(database, ExportRequest(batch_id, Path("b.jsonl"), Format.JSONL)).rows == 5


def test_standard_output_is_for_pipes_and_devices_are_written_as_they_are(
    batch_id: int, promptmill: Here
) -> None:
    said = promptmill("export", "-o", "-", "--columns=custom_id")
    assert said.objects == [{"custom_id": "a1"}, {"custom_id": "a4"}, {"custom_id": "a6"}]
    assert promptmill("export", "-o", "/dev/null", "--format=csv").code == 0
    assert not Path("/dev/null").is_file()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal: what a person sees, and what a program writes to."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_a_terminal_gets_no_control_characters(batch_id: int, terminal: tuple[int, int]) -> None:
    seen, written = terminal
    for format_ in ("jsonl", "csv"):
        command = [*PROGRAM, "export", str(batch_id), "-o", "-", "--format", format_]
        subprocess.run(command, stdout=written, stderr=subprocess.DEVNULL, check=True, timeout=60)
        shown = os.read(seen, 100_000).decode()
        assert "[2J" in shown
        assert not {"\x1b", "\u202e"} & set(shown)


def test_what_cannot_be_written_is_told_with_what_to_type(batch_id: int, promptmill: Here) -> None:
    for arguments, told in (
        ("", "where to? -o out.jsonl"),
        ("-o out.txt", "end it with one of .jsonl, .ndjson, .csv, .parquet"),
        ("-o out.csv --failed --all", "leave one out"),
        ("-o out.csv --columns texts", "there is no column 'texts': there are custom_id"),
        ("-o out.jsonl --formulas", "--formulas is for CSV"),
        ("-o - --format openai-batch", "two files"),
        ("-o out.jsonl --format openai-batch --all", "every prompt"),
        ("-o ./in.jsonl", "in.jsonl is what batch 1 was read from: name another file"),
        ("-o nowhere/out.csv", "nowhere/out.csv cannot be written: no such file"),
        ("-o . --format csv", "is a folder: name a file in it"),
    ):
        said = promptmill("export", batch_id, *arguments.split())
        assert said.code == 2
        assert told in said.err


def test_a_batch_that_is_not_there_is_told(database: Database) -> None:
    with pytest.raises(UsageError, match="no batch 99"):
        export(database, ExportRequest(99, Path("out.jsonl"), Format.JSONL))
    assert not list(Path().glob("*.jsonl"))


VECTOR = '{"object":"list","data":[{"index":0,"embedding":[0.10,1e-7]}],"new":1.50}'
GEMINI = '{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":3}}'
CLAUDE = '{"content":[{"type":"text","text":"four"}],"choices_made":0}'
GPT = '{"choices":[{"message":{"content":"four"},"logprobs":{"content":[]}}],"id":"x"}'


@pytest.fixture
def kept(promptmill: Here, scene: Scene) -> int:
    """Four answers as four providers sent them, and one of which only columns are kept."""
    batch = int(promptmill("submit", write_batch(Path("in.jsonl"), 5)).out)
    answers = [
        StoredResult(None, "completed", endpoint="embeddings", body=VECTOR),
        StoredResult(None, "completed", endpoint="embeddings", body=GEMINI),
        StoredResult("four", "end_turn", body=CLAUDE),
        StoredResult("four", "stop", body=GPT),
        StoredResult("four", "stop"),
    ]
    for one, result in zip(claim_all(scene, batch).items(), answers, strict=True):
        scene.close(finish(*one, ANSWERED, result))
    return batch


def test_openais_own_bodies_are_written_as_they_came(kept: int, promptmill: Here) -> None:
    promptmill("export", kept, "-o", "out.jsonl", "--format", "openai-batch")
    written = Path("out.jsonl").read_text(encoding="utf-8")
    assert VECTOR in written
    assert GPT in written
    bodies = [one["response"]["body"] for one in lines(Path("out.jsonl"))]
    assert CreateEmbeddingResponse.model_validate(bodies[1]).data[0].embedding == [0.5]
    for body in (bodies[2], bodies[4]):
        assert ChatCompletion.model_validate(body).choices[0].message.content == "four"


def test_what_came_with_a_200_and_is_no_answer_is_not_written_as_one(
    promptmill: Here, scene: Scene
) -> None:
    batch = int(promptmill("submit", write_batch(Path("in.jsonl"), 1)).out)
    ((job, fence),) = claim_all(scene, batch).items()
    scene.close(fail(job, fence, replace(REFUSED, http_status=200, error_code="no_answer")))
    promptmill("export", batch, "-o", "out.jsonl", "--format", "openai-batch")
    (told,) = lines(Path("out.errors.jsonl"))
    assert (told["response"], told["error"]["code"]) == (None, "no_answer")


def test_json_lines_have_the_bodies_of_a_batch_that_keeps_any(kept: int, promptmill: Here) -> None:
    promptmill("export", kept, "-o", "out.jsonl")
    assert f'"body":{VECTOR}' in Path("out.jsonl").read_text(encoding="utf-8")
    assert lines(Path("out.jsonl"))[4]["body"] is None
    promptmill("export", kept, "-o", "out.csv")
    assert "body" not in Path("out.csv").read_text(encoding="utf-8").splitlines()[0]


def test_no_body_is_written_of_a_batch_that_keeps_none(batch_id: int, promptmill: Here) -> None:
    promptmill("export", batch_id, "-o", "out.jsonl")
    assert "body" not in lines(Path("out.jsonl"))[0]
