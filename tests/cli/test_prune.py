"""`promptmill prune`: what it says before it deletes, and what is left."""

from pathlib import Path

import pytest

from tests.cli.promptmill import Here, typed
from tests.schema.scene import Scene
from tests.submit.inputs import answer, claim_all, refuse, write_batch

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def ended(promptmill: Here, scene: Scene, tmp_path: Path) -> int:
    """A batch of two: one is answered, one failed."""
    batch = int(promptmill("submit", write_batch(tmp_path / "in.jsonl", 2)).out)
    (one, other) = claim_all(scene, batch).items()
    answer(scene, *one)
    refuse(scene, *other)
    return batch


def test_a_dry_run_lists_and_deletes_nothing(ended: int, promptmill: Here, scene: Scene) -> None:
    said = promptmill("prune", ended, "--dry-run", "--keep-answers")
    assert "in.jsonl" in said.out
    assert "prompts; answers stay would go" in said.err
    assert promptmill("prune", ended, "--dry-run", "--json").objects == [
        {
            "dry_run": True,
            "what": "all",
            "batches": [{"batch": ended, "name": "in.jsonl", "prompts": 2}],
        }
    ]
    assert scene.count("job_payloads") == 2


def test_it_asks_first_and_a_no_deletes_nothing(ended: int, scene: Scene) -> None:
    said = typed("prune", ended, stdin="n\n")
    assert said.code == 1
    assert "Delete it?" in said.err
    assert scene.count("job_payloads") == 2


def test_what_is_gone_is_told_where_it_is_looked_for(
    ended: int, promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    assert "pruned 1 batch: 2 prompts" in promptmill("prune", ended, "--yes").err
    assert scene.count("jobs") == 0
    status = promptmill("status", ended).out
    assert "pruned: its prompts and answers are gone; the sums are kept" in status
    assert "1 answered   1 failed" in status
    assert "its prompts are gone; submit its input again" in promptmill("retry", ended).err
    assert "was pruned before (all)" in promptmill("prune", ended, "--yes").err
    again = int(promptmill("submit", tmp_path / "in.jsonl").out)
    assert again != ended


def test_an_open_batch_and_a_strange_age_are_refused(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    batch = int(promptmill("submit", write_batch(tmp_path / "in.jsonl", 2)).out)
    for arguments, told in (
        ((batch, "-y"), "has prompts to be answered"),
        (("--older-than", "7"), "write 12h, 30d or 8w"),
        ((99,), "there is no batch 99"),
        ((), "say what may go"),
    ):
        said = promptmill("prune", *arguments)
        assert said.code == 2
        assert told in said.err
    assert "nothing is that old" in promptmill("prune", "--older-than", "1h", "--dry-run").err
