"""`promptmill schedule`: what is submitted by the clock, as people type it."""

from pathlib import Path

import pytest

from tests.cli.promptmill import Here
from tests.schema.scene import Scene

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.csv"
    path.write_text("id,text\na,Hello\nb,World\n", encoding="utf-8")
    return path


def test_a_schedule_is_stored_with_whole_paths_listed_run_paused_and_removed(
    promptmill: Here, scene: Scene, prompts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "no schedule yet" in promptmill("schedule", "list").err
    (tmp_path / "ask.txt").write_text("Mood of: {text}", encoding="utf-8")
    said = promptmill(
        "schedule", "add", "nightly", "0 2 * * *", "--timezone", "Europe/Berlin",
        "--", prompts.name, "-m", "gpt-4o-mini", "-t", "ask.txt", "-o", "temperature", "0",
        "--budget", "5", "--dedupe", "-y",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert f"nightly submits {prompts} at " in said.err
    (listed,) = promptmill("schedule", "list", "--json").objects
    assert (listed["name"], listed["cron"], listed["timezone"], listed["overlap"]) == (
        "nightly", "0 2 * * *", "Europe/Berlin", "skip"
    )  # fmt: skip
    assert listed["next"]
    assert (listed["last"], listed["outcome"], listed["batch"]) == (None, None, None)

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ran = promptmill("schedule", "run", "nightly")
    assert ran.code == 0, ran.err
    (batch,) = scene.sql("select * from batches")
    assert (int(ran.out), batch.name, batch.budget_micros) == (batch.id, "nightly", 5_000_000)
    (body, _) = scene.sql("select body from job_payloads order by job_id")
    assert "Mood of: Hello" in body.body
    assert '"temperature":0' in body.body
    after = promptmill("schedule", "list", "--json").objects[0]
    assert (after["outcome"], after["batch"], after["next"]) == (
        "submitted", batch.id, listed["next"]
    )  # fmt: skip
    again = promptmill("schedule", "run", "nightly")
    assert (again.code, "skipped: batch 1 has not ended" in again.err) == (2, True)

    assert "is paused" in promptmill("schedule", "pause", "nightly").err
    assert promptmill("schedule", "list", "--json").objects[0]["next"] is None
    assert "goes on: next at" in promptmill("schedule", "resume", "nightly").err
    assert "nightly" in promptmill("schedule", "list").out
    assert promptmill("schedule", "remove", "nightly").code == 0
    assert scene.count("schedules") == 0
    assert scene.count("batches") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("n", "0 2 * *", "--", "x", "-m", "gpt-4o-mini"), "no cron expression"),
        (("n", "0 2 * * *", "--timezone", "Mars", "--", "x"), "no such time zone"),
        (("n", "0 2 * * *", "--", "-", "-m", "gpt-4o-mini"), "a schedule reads a file"),
        (("n", "0 2 * * *", "--", "x", "--budget", "much"), "--budget"),
        (("n", "0 2 * * *", "--", "x", "--nonsense"), "No such option"),
        (("n", "0 2 * * *", "--", "x", "-t", "gone.txt"), "the template"),
        (("a\nb", "0 2 * * *", "--", "x"), "printable characters"),
    ],
)
def test_what_could_never_be_submitted_is_refused(
    promptmill: Here, scene: Scene, words: tuple[str, ...], told: str
) -> None:
    said = promptmill("schedule", "add", *words)
    assert (said.code, told in said.err) == (2, True), said.err
    assert scene.count("schedules") == 0


def test_names_are_taken_once_and_unknown_ones_are_told(
    promptmill: Here, scene: Scene, prompts: Path
) -> None:
    words = ("schedule", "add", "n", "0 * * * *", "--", "later.txt", "-m", "gpt-4o-mini")
    first = promptmill(*words)
    assert "later.txt is not there now" in first.err
    again = promptmill(*words)
    assert (again.code, "there is a schedule 'n'" in again.err) == (2, True)
    gone = promptmill("schedule", "run", "n")
    assert (gone.code, "n was failed: " in gone.err) == (2, True)
    for verb in ("run", "pause", "resume", "remove"):
        said = promptmill("schedule", verb, "nobody")
        assert (said.code, "no schedule 'nobody'" in said.err) == (2, True)
