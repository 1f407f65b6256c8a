"""A large input is stored while a process of its own reads on; what comes of it is the same."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.estimate.budgets import Budget
from promptmill.producer.submitting import intake
from promptmill.producer.submitting.reading_process import Order, ReadingProcess
from promptmill.producer.submitting.request import How, SubmitRequest, Submitted
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Database
from promptmill.schema.errors import InputError, ServiceError, UsageError
from promptmill.schema.settings import Settings
from tests.schema.scene import Scene
from tests.submit.inputs import asking, batch_line, write_batch, write_lines

Submit = Callable[..., Submitted]
LINES = 6000
"""of 150 bytes: more than a pipe holds, in two chunks"""
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""for what is decided where the input is read"""
TABLES = ("batches", "jobs", "job_payloads", "batch_counts")


class Killed(BaseException):
    """Ends a submit in the middle, as a signal does."""


@pytest.fixture
def submitting(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Take every input for a large one, unless it is to be taken as it is."""

    def submit_it(request: SubmitRequest, *, as_it_is: bool = False, **hooks: Any) -> Submitted:
        with monkeypatch.context() as patch:
            if not as_it_is:
                patch.setattr(intake.Intake, "_hold", lambda _: None)
            return submit(database, request, settings, **hooks)

    return submit_it


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_batch(tmp_path / "in.jsonl", LINES)


def kill(*_: object) -> None:
    raise Killed


def left(scene: Scene) -> list[int]:
    return [scene.count(table) for table in TABLES]


def test_it_is_stored_as_a_small_one_is(submitting: Submit, source: Path, scene: Scene) -> None:
    told: list[tuple[int, int | None]] = []
    request = replace(asking(source), max_failures="5%")
    large = submitting(request, report=lambda *now: told.append(now))
    assert (large.how, large.total, large.kind) == (How.NEW, LINES, "OpenAI Batch lines")
    assert told == [(5000, None), (6000, None)]
    small = submitting(replace(request, new=True), as_it_is=True)
    same = "name, identity, cast(options as text), total, max_failures, state"
    assert len(scene.sql(f"select distinct {same} from batches")) == 1
    assert [row.identity_no for row in scene.sql("select * from batches order by id")] == [0, 1]
    jobs = f"""select position, custom_id, provider, model, model_no, request_hash,
      cast(body as text) as body, count(*) as n from jobs join job_payloads on job_id = id
      where batch_id in ({large.batch_id}, {small.batch_id}) group by 1, 2, 3, 4, 5, 6, 7"""
    found = scene.sql(f"select min(n) as least, count(*) as jobs from ({jobs}) as j")
    assert vars(found[0]) == {"least": 2, "jobs": LINES}
    scene.assert_sums()


def test_who_is_to_hold_little_stores_it_in_smaller_chunks(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    lines = [batch_line(f"a{n}", user="x" * 600) for n in range(1, 6)]
    source, told = write_lines(tmp_path / "in.jsonl", *lines), list[int]()
    submitting(asking(source, held_bytes=2000), report=lambda done, _: told.append(done))
    assert told == [2, 4, 5]
    assert left(scene) == [1, 5, 5, 1]


def test_the_process_that_reads_it_is_small() -> None:
    """It works beside a gateway, whose memory is counted."""
    script = f"import sys\nimport {ReadingProcess.__module__}\nprint(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"pydantic", "sqlalchemy", "jinja2", "asyncio", "structlog"}
    assert not heavy & {*told.stdout.split()}


def test_it_is_known_again_without_being_read(
    submitting: Submit, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submitting(asking(source))
    monkeypatch.setattr(ReadingProcess, "chunks", kill)
    again = submitting(asking(source))
    assert (again.how, again.batch_id, again.total) == (How.REUSED, first.batch_id, LINES)


def test_a_killed_submit_of_it_is_gone_on_with(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    with pytest.raises(Killed):
        submitting(asking(source), report=kill)
    assert left(scene) == [1, 5000, 5000, 0]
    assert submitting(asking(source)).how is How.RESUMED
    assert left(scene) == [1, LINES, LINES, 1]
    assert scene.sql("select total from batches")[0].total == LINES


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (batch_line("a1"), "that of line 1"),
        ("{]", "line 6001: this is not JSON"),
        (batch_line("z", model=None), "line 6001: no model is named by 1 of 6,001 prompts"),
    ],
    ids=["custom_id twice", "bad line", "no model"],
)
def test_of_one_that_is_refused_at_its_end_nothing_is_left(
    submitting: Submit, tmp_path: Path, scene: Scene, line: dict[str, Any] | str, problem: str
) -> None:
    lines = [batch_line(f"a{n}") for n in range(1, LINES + 1)]
    with pytest.raises(InputError, match=problem):
        submitting(asking(write_lines(tmp_path / "in.jsonl", *lines, line)))
    assert left(scene) == [0, 0, 0, 0]


@sqlite_only
def test_a_bad_line_in_the_first_chunk_is_told_before_there_is_a_batch(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    with pytest.raises(InputError, match="also:  line 3: this is not JSON"):
        submitting(asking(write_lines(tmp_path / "in.jsonl", batch_line("a"), "{]", "{]")))
    submitting(asking(write_batch(tmp_path / "good.jsonl", 1)))
    assert scene.sql("select id from batches")[0].id == 1


@sqlite_only
@pytest.mark.parametrize("limit", [None, 5])
def test_one_that_changes_while_it_is_read_is_refused_and_nothing_is_left(
    submitting: Submit,
    source: Path,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    limit: int | None,
) -> None:
    begin = intake.Intake._begin

    def begin_late(self: intake.Intake) -> ReadingProcess:
        assert self._source.sha256
        with source.open("a") as file:
            file.write(json.dumps(batch_line("late")) + "\n")
        return begin(self)

    monkeypatch.setattr(intake.Intake, "_begin", begin_late)
    with pytest.raises(InputError, match="changed while it was read"):
        submitting(asking(source, limit=limit))
    assert left(scene) == [0, 0, 0, 0]


@sqlite_only
def test_models_that_come_late_are_part_of_what_it_is(
    submitting: Submit, tmp_path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HEAD_PROMPTS", 1)
    late = write_lines(
        tmp_path / "late.jsonl", batch_line("a"), batch_line("b", model="claude-haiku-4-5")
    )
    first = submitting(asking(late))
    assert submitting(asking(late)).batch_id == first.batch_id
    assert submitting(asking(late), as_it_is=True).how is How.REUSED
    assert left(scene) == [1, 2, 2, 2]


def test_who_wants_to_see_the_plan_sees_it_before_anything_is_stored(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    def refuse(plan: Any) -> None:
        assert (plan.checked.rows, plan.known) == (LINES, False)
        msg = "no"
        raise UsageError(msg)

    with pytest.raises(UsageError, match="no"):
        submitting(asking(source), admit=refuse)
    assert left(scene) == [0, 0, 0, 0]
    submitting(asking(source))
    submitting(asking(source), admit=refuse)  # it is known, so it is not asked


def test_a_budget_that_cannot_be_kept_leaves_nothing(
    submitting: Submit, source: Path, scene: Scene
) -> None:
    with pytest.raises(UsageError, match="more than the budget"):
        submitting(replace(asking(source), budget=Budget(1)))
    assert left(scene) == [0, 0, 0, 0]


@sqlite_only
def test_a_packed_one_with_a_template_that_grows_is_read_apart(
    submitting: Submit, tmp_path: Path, scene: Scene
) -> None:
    source = tmp_path / "rows.csv.gz"
    source.write_bytes(gzip.compress(b"id,text\n" + b"".join(b"%d,x\n" % n for n in range(300))))
    template = "{text}" + "y" * 500
    asked = asking(source, model="gpt-4o", template=template, held_bytes=40_000)
    assert submitting(asked, as_it_is=True).total == 300
    assert left(scene) == [1, 300, 300, 1]


@sqlite_only
def test_a_reading_process_that_is_killed_is_told(
    submitting: Submit, source: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = ReadingProcess.__init__

    def begin_and_kill(process: ReadingProcess, order: Order) -> None:
        begin(process, order)
        os.kill(process._process.pid, signal.SIGKILL)

    monkeypatch.setattr(ReadingProcess, "__init__", begin_and_kill)
    with pytest.raises(ServiceError, match="ended, with status -9: type the same command"):
        submitting(asking(source))
