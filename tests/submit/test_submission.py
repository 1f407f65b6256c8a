"""An input becomes one batch: all of it or nothing, and only once."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from promptmill.producer import control
from promptmill.producer.submitting import chunks
from promptmill.producer.submitting.request import How, SubmitRequest, Submitted
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Database
from promptmill.schema.errors import InputError, UsageError
from promptmill.schema.settings import Settings
from tests.schema.scene import Scene
from tests.submit.inputs import asking, batch_line, write_batch, write_lines

Submit = Callable[..., Submitted]
CHUNK = 3


class Killed(BaseException):
    """Ends a submit in the middle, as a signal does."""


@pytest.fixture
def submitting(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Submit in chunks of three."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", CHUNK)

    def submit_it(request: SubmitRequest, **hooks: Any) -> Submitted:
        return submit(database, request, settings, **hooks)

    return submit_it


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten lines: four chunks."""
    return write_batch(tmp_path / "in.jsonl", 10)


def test_what_goes_with_the_opening_of_a_batch_is_in_its_commit(
    scene: Scene, submitting: Submit, source: Path
) -> None:
    def killed(_connection: object, _batch_id: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        submitting(SubmitRequest(source), opened=killed)
    assert [row.state for row in scene.sql("select state from batches")] == ["loading"]
    heard: list[int] = []
    done = submitting(SubmitRequest(source), opened=lambda _connection, batch: heard.append(batch))
    assert heard == [done.batch_id]
    assert submitting(SubmitRequest(source), opened=killed).how is How.REUSED


def stored_ids(scene: Scene) -> list[str]:
    return [row.custom_id for row in scene.sql("select custom_id from jobs order by id")]


def kill_after(chunks: int) -> Callable[[int, int], None]:
    def report(done: int, _total: int) -> None:
        if done >= chunks * CHUNK:
            raise Killed

    return report


def add_line(source: Path) -> None:
    with source.open("a") as file:
        file.write(json.dumps(batch_line("late")) + "\n")


def test_every_prompt_is_stored_in_the_order_of_the_input(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    told: list[tuple[int, int]] = []
    submitted = submitting(asking(source), report=lambda *now: told.append(now))
    assert (submitted.total, submitted.how) == (10, How.NEW)
    assert told == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert stored_ids(scene) == [f"a{n}" for n in range(1, 11)]
    (batch,) = scene.sql("select * from batches")
    assert (batch.id, batch.name, batch.state) == (submitted.batch_id, "in.jsonl", "open")
    assert (batch.total, batch.input_name) == (10, str(source))
    (counts,) = scene.sql("select provider, model, state, jobs from batch_counts")
    assert vars(counts) == {"provider": "openai", "model": "gpt-4o-mini", "state": 0, "jobs": 10}


def test_the_body_is_stored_as_the_input_spelled_it(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    line = '{"custom_id": "é", "body": {"model": "m/x", "temperature": 1.50, "messages": [%s]}}'
    line %= '{"role": "user", "content": "100 % {now} ü\\u00e9"}'
    submitting(asking(write_lines(tmp_path / "in.jsonl", line), model="claude-haiku-4-5"))
    (payload,) = scene.sql("select cast(body as text) as body from job_payloads")
    message = '{"content":"100 % {now} üé","role":"user"}'
    assert payload.body == f'{{"messages":[{message}],"temperature":1.50}}'
    (job,) = scene.sql("select provider, model, custom_id from jobs")
    assert vars(job) == {"provider": "anthropic", "model": "claude-haiku-4-5", "custom_id": "é"}


def test_lines_may_name_models_of_several_providers(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    models = ("gpt-4o-mini", "claude-haiku-4-5", "gemini/gemini-2.5-flash", "openai/gpt-4o-mini")
    lines = [batch_line(f"a{n}", model=model) for n, model in enumerate(models)]
    lines[3]["body"]["messages"] = lines[0]["body"]["messages"]
    submitting(asking(write_lines(tmp_path / "in.jsonl", *lines)))
    jobs = scene.sql(
        "select provider, model, request_hash from jobs j, job_payloads p"
        " where p.job_id = j.id order by j.id"
    )
    assert [(job.provider, job.model) for job in jobs] == [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-haiku-4-5"),
        ("gemini", "gemini-2.5-flash"),
        ("openai", "gpt-4o-mini"),
    ]
    assert jobs[0].request_hash == jobs[3].request_hash


def test_the_same_input_is_the_same_batch(submitting: Submit, source: Path, scene: Scene) -> None:
    first = submitting(asking(source, model="gpt-4o"))
    again = submitting(asking(source, model="openai/gpt-4o"))
    assert (again.batch_id, again.how) == (first.batch_id, How.REUSED)
    named = SubmitRequest(source, asking(source, model="gpt-4o").reading, name="x", priority=5)
    assert submitting(named).batch_id == first.batch_id
    assert scene.count("jobs") == 10


@pytest.mark.parametrize(
    "change",
    [{"model": "gpt-4.1"}, {"system": "be brief"}, {"parameters": {"seed": 1}}, {"limit": 9}],
    ids=str,
)
def test_another_question_is_another_batch(
    submitting: Submit, source: Path, change: dict[str, Any]
) -> None:
    first = submitting(asking(source, model="gpt-4o"))
    other = submitting(asking(source, **({"model": "gpt-4o"} | change)))
    assert other.how is How.NEW
    assert other.batch_id != first.batch_id


def test_new_makes_another_batch_of_the_same_input(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    ids = {submitting(asking(source, new=new)).batch_id for new in (False, True, True)}
    assert len(ids) == 3
    numbers = scene.sql("select identity_no from batches order by id")
    assert [row.identity_no for row in numbers] == [0, 1, 2]
    assert submitting(asking(source)).batch_id == max(ids)


def test_a_killed_submit_is_resumed_by_the_same_command(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    with pytest.raises(Killed):
        submitting(asking(source), report=kill_after(2))
    assert [row.state for row in scene.sql("select state from batches")] == ["loading"]
    assert scene.count("batch_counts") == 0
    submitted = submitting(asking(source))
    assert submitted.how is How.RESUMED
    assert stored_ids(scene) == [f"a{n}" for n in range(1, 11)]
    assert [row.state for row in scene.sql("select state from batches")] == ["open"]


def test_a_submit_killed_before_opening_is_only_opened(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    with pytest.raises(Killed):
        submitting(asking(source), report=lambda done, total: kill_after(4)(done + 2, total))
    assert scene.count("jobs") == 10
    assert submitting(asking(source, new=True)).how is How.RESUMED
    assert (scene.count("jobs"), scene.count("batches")) == (10, 1)


def test_two_submits_at_once_load_one_batch_together(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    checked = Barrier(2)
    found: list[Submitted] = []

    def run() -> None:
        found.append(submitting(asking(source), admit=lambda _: checked.wait(10)))

    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.batch_id for one in found}) == 1
    assert sorted(stored_ids(scene)) == sorted(f"a{n}" for n in range(1, 11))
    assert scene.count("batches") == 1
    scene.assert_sums()


def test_a_submit_goes_on_behind_another_one_of_the_same_input(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    others: list[Submitted] = []

    def overtake(_done: int, _total: int) -> None:
        if not others:
            others.append(submitting(asking(source)))

    submitted = submitting(asking(source), report=overtake)
    assert (submitted.how, others[0].how) == (How.NEW, How.RESUMED)
    assert stored_ids(scene) == [f"a{n}" for n in range(1, 11)]
    scene.assert_sums()


@pytest.mark.parametrize("second", [2, 9], ids=["in one chunk", "in another chunk"])
def test_a_custom_id_given_twice_is_refused_and_nothing_is_left(
    submitting: Submit, tmp_path: Path, scene: Scene, second: int
) -> None:
    lines = [batch_line(f"a{n}") for n in range(1, 11)]
    lines[second - 1]["custom_id"] = "a1"
    with pytest.raises(InputError) as refused:
        submitting(asking(write_lines(tmp_path / "in.jsonl", *lines)))
    assert "that of line 1" in str(refused.value)
    assert (refused.value.line, refused.value.value) == (second, "a1")
    assert [scene.count(table) for table in ("batches", "jobs", "job_payloads")] == [0, 0, 0]


def test_a_small_input_is_stored_as_it_was_read(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    submitting(asking(source), admit=lambda _: add_line(source))
    assert scene.count("jobs") == 10


def test_long_prompts_are_stored_in_smaller_chunks(
    submitting: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1000)
    lines = [batch_line(f"a{n}", user="x" * 600) for n in range(1, 6)]
    told: list[int] = []
    submitting(
        asking(write_lines(tmp_path / "in.jsonl", *lines)), report=lambda done, _: told.append(done)
    )
    assert told == [2, 4, 5]


def test_the_input_of_a_cancelled_batch_says_how_to_take_it_up_again(
    submitting: Submit, source: Path, database: Database
) -> None:
    first = submitting(asking(source))
    control.cancel(database, first.batch_id)
    with pytest.raises(UsageError, match=f"promptmill retry {first.batch_id}"):
        submitting(asking(source))
    assert submitting(asking(source, new=True)).how is How.NEW


@pytest.mark.parametrize(
    ("reading", "complaint"),
    [
        ({"model": "nobody/x"}, "the provider 'nobody', which is not known"),
        ({"model": "mystery"}, "does not tell its provider"),
        ({}, r"line 2: no model is named by 1 of 2 prompts\n.*\n.*give -m MODEL"),
    ],
    ids=["provider", "family", "no model"],
)
def test_a_model_that_nobody_answers_is_refused_before_anything_is_stored(
    submitting: Submit, tmp_path: Path, scene: Scene, reading: dict[str, Any], complaint: str
) -> None:
    source = write_lines(tmp_path / "in.jsonl", batch_line("a"), batch_line("b", model=None))
    with pytest.raises(UsageError, match=complaint):
        submitting(asking(source, **reading))
    assert scene.count("batches") == 0


@pytest.mark.parametrize(
    "fields",
    [{"priority": 101}, {"name": ""}, {"name": "a\x00b"}, {"on_unknown": "maybe"}],
    ids=str,
)
def test_a_field_that_cannot_be_stored_is_refused(
    submitting: Submit, source: Path, fields: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        submitting(SubmitRequest(source, **fields))


def test_a_file_name_of_any_bytes_can_be_stored(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    strange = Path(str(tmp_path).encode().decode() + "/a\udcff\x1b.jsonl")
    submitting(asking(write_batch(strange, 1)))
    assert scene.sql("select name from batches")[0].name == "a??.jsonl"


def test_each_prompt_is_asked_of_each_model_under_its_own_id(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    request = replace(asking(source, model="o3"), also=("claude-haiku-4-5", "openai/o3"))
    told: list[tuple[int, int]] = []
    submitted = submitting(request, report=lambda *now: told.append(now))
    assert submitted.total == 20
    assert told[-1] == (20, 20)
    jobs = scene.sql("select custom_id, position, model, model_no from jobs order by id")
    assert [(job.custom_id, job.position, job.model) for job in jobs[:3]] == [
        ("a1", 1, "claude-haiku-4-5"),
        ("a1", 1, "o3"),
        ("a2", 2, "claude-haiku-4-5"),
    ]
    counts = scene.sql("select provider, jobs from batch_counts order by provider")
    assert [(count.provider, count.jobs) for count in counts] == [("anthropic", 10), ("openai", 10)]
    other_order = replace(asking(source, model="claude-haiku-4-5"), also=("o3",))
    assert submitting(other_order).how is How.REUSED


def test_a_killed_submit_of_several_models_is_gone_on_with(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    request = replace(asking(source, model="o3"), also=("claude-haiku-4-5",))
    with pytest.raises(Killed):
        submitting(request, report=kill_after(1))
    assert submitting(request).how is How.RESUMED
    assert len(stored_ids(scene)) == 20
    assert len({(row.custom_id, row.model) for row in scene.sql("select * from jobs")}) == 20


def test_a_custom_id_given_twice_is_told_with_several_models_too(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    source = write_lines(tmp_path / "in.jsonl", batch_line("a"), batch_line("b"), batch_line("a"))
    with pytest.raises(InputError, match="that of line 1") as caught:
        submitting(replace(asking(source, model="o3"), also=("gpt-4o",)))
    assert caught.value.line == 3
    assert scene.count("jobs") == 0


def test_own_requests_of_one_provider_go_to_nobody_else(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    params = {"model": "my-tune", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    source = write_lines(tmp_path / "in.jsonl", {"custom_id": "a", "params": params})
    with pytest.raises(UsageError, match="in Anthropic's own words"):
        submitting(asking(source, model="gpt-4o"))
    submitting(asking(source))
    (job,) = scene.sql("select provider, model from jobs")
    assert (job.provider, job.model) == ("anthropic", "my-tune")
    (payload,) = scene.sql("select cast(body as text) as body from job_payloads")
    del params["model"]
    assert json.loads(payload.body) == {"native": params}
