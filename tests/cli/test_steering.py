"""`pause`, `resume`, `cancel`, `retry` and `db`: what people order."""

from pathlib import Path

import pytest

from promptmill.schema.states import JobState
from tests.cli.promptmill import Here
from tests.schema.scene import Scene
from tests.submit.inputs import claim_all, hold_back, refuse, write_batch


@pytest.fixture
def batch_id(promptmill: Here, scene: Scene, tmp_path: Path) -> int:
    return int(promptmill("submit", write_batch(tmp_path / "in.jsonl", 3)).out)


def states(scene: Scene) -> list[str]:
    return [JobState(row.state).word for row in scene.sql("select state from jobs order by id")]


def test_a_batch_is_paused_and_goes_on(batch_id: int, promptmill: Here, scene: Scene) -> None:
    assert promptmill("pause", batch_id).err == f"batch {batch_id} paused\n"
    assert claim_all(scene, batch_id) == {}
    assert promptmill("pause", batch_id, "--json").objects[0]["changed"] is False
    assert promptmill("resume", batch_id).err == f"batch {batch_id} goes on\n"
    assert promptmill("resume", batch_id).err == f"batch {batch_id} was not paused\n"
    assert len(claim_all(scene, batch_id)) == 3


def test_a_provider_is_paused_and_goes_on(batch_id: int, promptmill: Here, scene: Scene) -> None:
    assert promptmill("pause", "openai", "--reason", "too dear").code == 0
    (pause,) = scene.sql("select provider, kind, reason from pauses")
    assert vars(pause) == {"provider": "openai", "kind": "user", "reason": "too dear"}
    assert promptmill("resume", "openai", "--json").objects[0]["changed"] is True
    assert scene.count("pauses") == 0


@pytest.mark.parametrize("target", ["nobody", "99"])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_target_that_is_not_there_is_named(
    verb: str, target: str, promptmill: Here, scene: Scene
) -> None:
    said = promptmill(verb, target)
    assert said.code == 2
    assert target in said.err


def test_a_cancelled_batch_is_taken_up_again_by_retry(
    batch_id: int, promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    assert promptmill("cancel", batch_id, "--json").objects[0]["cancelled"] == 3
    assert states(scene) == ["cancelled"] * 3
    assert promptmill("ls", "--json").objects[0]["state"] == "cancelled"
    assert promptmill("status", batch_id).out.splitlines()[0].endswith("  cancelled")
    assert promptmill("submit", tmp_path / "in.jsonl").code == 2
    assert promptmill("retry", "--json").objects == [{"batch": batch_id, "retried": 3}]
    assert states(scene) == ["pending"] * 3


def test_retry_takes_what_failed_or_is_held_and_nothing_else(
    batch_id: int, promptmill: Here, scene: Scene
) -> None:
    one, two = claim_all(scene, batch_id, most=2).items()
    refuse(scene, *one)
    hold_back(scene, *two)
    told = promptmill("retry", batch_id).err
    assert told.startswith(f"batch {batch_id}: 2 to be done again, by workers that run")
    assert states(scene) == ["pending"] * 3
    assert promptmill("retry", batch_id, "--json").objects[0]["retried"] == 0
    assert "nothing of it failed" in promptmill("retry", batch_id).err


def test_the_database_may_be_upgraded_again(promptmill: Here, scene: Scene) -> None:
    first, again = (promptmill("db", "upgrade", "--json") for _ in range(2))
    assert (first.code, again.code) == (0, 0)
    assert first.objects == again.objects
    assert first.objects[0]["database"] == scene.database.dialect


def test_db_alone_tells_its_verbs(promptmill: Here, scene: Scene) -> None:
    said = promptmill("db")
    assert said.code == 2
    assert "upgrade" in said.out + said.err
