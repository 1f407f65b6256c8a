"""`pause`, `resume`, `cancel`, `retry` and `db`: what people order."""

from pathlib import Path

import pytest

from promptmill.schema.states import JobState
from tests.cli.promptmill import Here, Said
from tests.schema.scene import Scene
from tests.submit.inputs import answer, claim_all, hold_back, refuse, write_batch


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
    again = promptmill("cancel", batch_id).err
    assert again == f"batch {batch_id} is cancelled, and nothing of it was left to do\n"
    assert promptmill("ls", "--json").objects[0]["state"] == "cancelled"
    assert promptmill("status", batch_id).out.splitlines()[0].endswith("  cancelled")
    assert promptmill("submit", tmp_path / "in.jsonl").code == 2
    assert promptmill("retry", "--json").objects == [{"batch": batch_id, "retried": 3}]
    assert states(scene) == ["pending"] * 3


def test_a_batch_that_has_ended_stays_as_it_is(
    batch_id: int, promptmill: Here, scene: Scene
) -> None:
    for job in claim_all(scene, batch_id).items():
        answer(scene, *job)
    over = Said(0, "", f"batch {batch_id} has ended already: nothing of it is left to do\n")
    assert [promptmill(verb, batch_id) for verb in ("pause", "resume", "cancel")] == [over] * 3
    assert promptmill("cancel", batch_id, "--json").objects[0]["cancelled"] == 0
    assert promptmill("ls", "--json").objects[0]["state"] == "ended"
    assert promptmill("status", "--json").objects[0]["state"] == "ended"


def test_cancel_says_what_will_not_be_answered_and_what_runs(
    batch_id: int, promptmill: Here, scene: Scene
) -> None:
    claim_all(scene, batch_id, most=1)
    told = f"batch {batch_id} is cancelled: 2 prompts will not be answered"
    assert promptmill("cancel", batch_id).err == f"{told}; what runs (1) ends, and is stored\n"


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


@pytest.mark.parametrize(
    ("conditions", "retried"),
    [
        (("--kind", "request"), [1, 2]),
        (("--kind", "unknown"), [3]),
        (("--code", "timeout"), [3]),
        (("--kind", "request", "--code", "timeout"), []),
        (("--held",), [3]),
        (("-m", "gpt-4o-mini", "--kind", "request"), [1, 2]),
        (("-m", "o3"), []),
        ((), [1, 2, 3]),
    ],
)
def test_retry_takes_only_what_meets_the_conditions(
    conditions: tuple[str, ...], retried: list[int], promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    batch_id = int(promptmill("submit", write_batch(tmp_path / "in.jsonl", 4)).out)
    one, two, three = claim_all(scene, batch_id, most=3).items()
    refuse(scene, *one)
    refuse(scene, *two)
    hold_back(scene, *three)
    assert promptmill("retry", batch_id, *conditions, "--json").objects == [
        {"batch": batch_id, "retried": len(retried)}
    ]
    again = scene.sql("select position from jobs where generation > 0 order by id")
    assert [row.position for row in again] == retried


def test_retry_says_that_nothing_meets_the_conditions(batch_id: int, promptmill: Here) -> None:
    told = promptmill("retry", "--kind", "money", "-m", "o3").err
    assert told == f"batch {batch_id}: nothing of kind money to model o3 failed or is held\n"
    assert promptmill("retry", "--kind", "weather").code == 2


def test_the_priority_of_a_batch_changes_while_it_runs(
    batch_id: int, promptmill: Here, scene: Scene
) -> None:
    assert promptmill("priority", batch_id, 50).err == f"batch {batch_id} has priority 50\n"
    assert promptmill("priority", batch_id, 50, "--json").objects[0]["changed"] is False
    assert promptmill("priority", batch_id, "--", -7).code == 0
    assert scene.sql("select priority from batches")[0].priority == -7
    assert promptmill("priority", batch_id, 101).code == 2
    assert "no batch 99" in promptmill("priority", 99, 1).err


def test_the_database_may_be_upgraded_again(promptmill: Here, scene: Scene) -> None:
    first, again = (promptmill("db", "upgrade", "--json") for _ in range(2))
    assert (first.code, again.code) == (0, 0)
    assert first.objects == again.objects
    assert first.objects[0]["database"] == scene.database.dialect


def test_db_alone_tells_its_verbs(promptmill: Here, scene: Scene) -> None:
    said = promptmill("db")
    assert said.code == 2
    assert "upgrade" in said.out + said.err
