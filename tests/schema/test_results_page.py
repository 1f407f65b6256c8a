"""docs/results.md has all views and columns; the SQL of docs/questions.md gives what it shows."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves.endings import Closing, fail, finish, hold, retry, snooze
from promptmill.schema.moves.queueing import queue_pending, queue_waiting
from promptmill.schema.new_job import NewJob
from promptmill.schema.outcomes import Usage
from promptmill.schema.reading import query
from promptmill.schema.views import VIEWS
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, BUSY, CUT, REFUSED, Scene

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "results.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(
    r"^## [^\n]+\n\n\*([^\n]+)\.\*\n\n```sql\n(.*?)```\n\n```text\n(.*?)```",
    (DOCS / "questions.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)
READS = {"Reads rollups", "Reads what failed", "Reads the batch", "Reads one prompt"}
SCOPES = (("openai", "gpt-5-mini"), ("anthropic", "claude-haiku-4-5"))
ANSWERS = ("Paris", "Rome", "Lima", "Oslo", "Once upon a", "Quito", "Cairo")

CALLS = [("weather", '{"city": "Cairo"}'), ("weather", '{"city": "Giza"}'), ("clock", "{}")]
MORE: dict[int, dict[str, Any]] = {
    4: {"validity": "invalid", "problem": "enum at /continent"},
    7: {
        "tool_calls": json.dumps(
            [
                {"id": f"call_{no}", "function": {"name": name, "arguments": arguments}}
                for no, (name, arguments) in enumerate(CALLS)
            ]
        )
    },
}
"""What the answers to some prompts have beside a text."""


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Database:
    """Override: these tests ask for an engine by `scene`'s parameter."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def told(scene: Scene) -> Scene:
    """The batch that the page asks about: twelve prompts to two providers, half way through."""
    jobs = [
        NewJob(n, f"capital-{n:02}", *SCOPES[n % 2], '{"prompt": "…"}', f"{n:064x}")
        for n in range(1, 13)
    ]
    batch = scene.load(12, jobs=jobs, name="capitals")
    first = claimed(scene, batch, most=5)
    scene.clock.advance(1)
    numbers = {job.id: job.position for job in scene.sql("select id, position from jobs")}
    scene.close(*(tell(numbers[job_id], job_id, fence) for job_id, fence in first.items()))
    scene.clock.advance(5)
    scene.close(*(answer(numbers[j], j, f) for j, f in claimed(scene, batch, most=0).items()))
    return scene


def claimed(scene: Scene, batch: int, *, most: int) -> dict[int, int]:
    with scene.database.write() as connection:
        queued = []
        for provider, model in SCOPES:
            queued += queue_waiting(connection, provider=provider, model=model, most=10)
            queued += queue_pending(
                connection, batch_id=batch, provider=provider, model=model, most=most
            )
    return scene.claim(*(Hint(row.job_id, row.dispatch_no) for row in queued))


def tell(n: int, job_id: int, fence: int) -> Closing:
    """End the first attempt of the prompt on line *n*."""
    match n:
        case 2:
            return snooze(job_id, fence, BUSY, 2.0)
        case 3:
            return retry(job_id, fence, BROKEN, 2.0)
        case 6:
            told = replace(REFUSED, error_code="context_length", error_text="too long by 812")
            return fail(job_id, fence, told)
        case 9:
            return hold(job_id, fence, CUT)
        case 10:
            return retry(job_id, fence, replace(CUT, cost_micros=90), 3600.0)
    return answer(n, job_id, fence)


def answer(n: int, job_id: int, fence: int) -> Closing:
    usage = Usage(40 + n, 10 * n)
    attempted = replace(ANSWERED, usage=usage, latency_ms=300 + 111 * n, cost_micros=25 * n)
    end = "length" if n == 5 else "stop"
    result = replace(
        ANSWER, text=ANSWERS[(n - 1) % len(ANSWERS)], finish_reason=end, **MORE.get(n, {})
    )
    return finish(job_id, fence, attempted, result)


def shown(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lay rows out as the page does."""
    cells = [list(names)] + [[cell(value) for value in row] for row in rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(names))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "".join(line.rstrip() + "\n" for line in lines)


def cell(value: object) -> str:
    """Write an instant or a number as it is on both engines."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else str(value)


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_each_question_gets_the_answer_that_the_page_shows(told: Scene) -> None:
    for reads, sql, output in QUESTIONS:
        assert reads in READS
        for names, rows in query(told.database, sql):
            assert shown(names, list(rows)) == output, sql


def test_the_page_has_ten_questions() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_the_page_names_every_view_with_all_its_columns(database: Database) -> None:
    documented = {
        view: re.findall(r"^\| `(\w+)`", text, re.MULTILINE)
        for view, text in re.findall(
            r"^### `(\w+)`\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE
        )
    }
    assert documented.keys() == VIEWS.keys()
    for view, columns in documented.items():
        for names, _rows in query(database, f"select * from {view}"):
            assert names == columns
