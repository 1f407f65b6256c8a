"""`--max-failures`: how it is typed, shown and changed."""

from pathlib import Path

import pytest

from promptmill.producer.submitting.failure_limit import FailureLimit, parse_failure_limit
from promptmill.schema.errors import UsageError
from tests.cli.promptmill import Here
from tests.schema.scene import Scene
from tests.submit.inputs import claim_all, refuse, write_batch

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    ("text", "total", "jobs"),
    [
        ("200", 10, 200),
        ("5%", 10_000, 500),
        ("5%", 30, 2),
        ("0.01%", 100, 1),
        ("100%", 7, 7),
        ("none", 10, None),
    ],
)
def test_a_number_a_share_or_none_is_read(text: str, total: int, jobs: int | None) -> None:
    assert parse_failure_limit(text).of(total) == jobs


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "5 %", "five", "", "1e3", "٣"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write 200, 5% or none"):
        parse_failure_limit(text)


def test_a_share_of_nothing_is_one() -> None:
    assert FailureLimit(percent=5).of(0) == 1


@sqlite_only
def test_it_is_set_shown_changed_and_lifted(promptmill: Here, scene: Scene, tmp_path: Path) -> None:
    source = write_batch(tmp_path / "in.jsonl", 20)
    submit = ("submit", source, "--max-failures")
    batch = int(promptmill(*submit, "10%").out)
    assert "pauses when 2 have failed" in promptmill("status").out
    jobs = list(claim_all(scene, batch, most=4).items())
    for job in jobs[:3]:
        refuse(scene, *job)
    paused = "paused: max-failures reached: 2 of 20 prompts failed, for example prompt 2"
    assert paused in promptmill("status").out
    said = promptmill(*submit, "3")
    assert said.code == 2
    assert "3 of 20 prompts of batch 1 failed already" in said.err
    assert int(promptmill(*submit, "20%").out) == batch
    assert "pauses when 4 have failed" in promptmill("status").out
    refuse(scene, *jobs[3])
    assert promptmill("resume", batch).err == "batch 1 goes on\n"
    assert promptmill("status", "--json").objects[0]["pauses_at_failures"] == 8
    assert promptmill("resume", batch, "--max-failures", "none").err == "batch 1 was not paused\n"
    assert "pauses when" not in promptmill("status").out


@sqlite_only
def test_it_is_of_batches_only(promptmill: Here, scene: Scene) -> None:
    said = promptmill("resume", "openai", "--max-failures", "5%")
    assert said.code == 2
    assert "a provider was named" in said.err
