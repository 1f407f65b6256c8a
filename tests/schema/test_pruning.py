"""What is old of a batch goes, in chunks; its sums stay, and nothing open is ever touched."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.dispatching.pruning import (
    PruneOrder,
    Retention,
    Step,
    prune_steps,
    to_prune,
)
from promptmill.schema.database import Database
from promptmill.schema.moves import pruning, steering
from promptmill.schema.moves.endings import StoredFile, fail, finish, retry
from promptmill.schema.moves.loading import find_batch
from promptmill.schema.moves.pruning import Pruned
from promptmill.schema.settings import RetentionSettings
from promptmill.schema.space import can_give_back, free_bytes
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, REFUSED, Scene, new_jobs

DAY_S = 86_400.0
ALL, PROMPTS = PruneOrder(Pruned.ALL, 7 * DAY_S), PruneOrder(Pruned.PROMPTS, 7 * DAY_S)
ROWS = ("jobs", "job_payloads", "attempts", "results")


def ended(scene: Scene, **changes: Any) -> int:
    """A batch of three: answered, answered at the second try, failed."""
    batch = scene.load(3, **changes)
    one, two, three = scene.claim(*scene.queue(batch)).items()
    scene.close(finish(*one, ANSWERED, ANSWER), retry(*two, BROKEN, 1.0), fail(*three, REFUSED))
    scene.clock.advance(2)
    (again,) = scene.claim(*scene.queue_due()).items()
    scene.close(finish(*again, ANSWERED, ANSWER))
    return batch


def rows(scene: Scene, batch: int) -> list[int]:
    """Count what is there of a batch, in the order of `ROWS`."""
    of = {"job_payloads": f"job_id in (select id from jobs where batch_id = {batch})"}
    where = [of.get(table, f"batch_id = {batch}") for table in ROWS]
    return [scene.count(f"{t} where {w}") for t, w in zip(ROWS, where, strict=True)]


def prune(scene: Scene, order: PruneOrder = ALL) -> list[Step]:
    steps = prune_steps(scene.database, order)
    return [step for step in steps if step.batch is not None]


def sums(scene: Scene) -> dict[str, Any]:
    return {
        name: scene.sql(f"select * from {name}")
        for name in ("batch_counts", "usage_hourly", "latency_daily", "promptmill_usage_by_model")
    }


def test_all_of_an_old_batch_goes_and_its_sums_stay(scene: Scene) -> None:
    batch = ended(scene)
    scene.clock.advance(8 * DAY_S)
    young = ended(scene)
    before, kept = sums(scene), rows(scene, young)
    prune(scene)
    assert rows(scene, batch) == [0, 0, 0, 0]
    assert scene.count("job_payloads") == scene.count(f"jobs where batch_id = {young}")
    assert rows(scene, young) == kept
    assert sums(scene) == before
    (row,) = scene.sql(f"select * from promptmill_batches where batch_id = {batch}")
    assert (row.pruned, row.succeeded, row.failed) == ("all", 2, 1)
    assert prune(scene) == []


def test_answers_may_stay_with_what_they_cost(scene: Scene) -> None:
    batch = ended(scene)
    answers = scene.sql("select * from promptmill_results order by job_id")
    failures = scene.sql("select * from promptmill_failures")
    scene.clock.advance(8 * DAY_S)
    prune(scene, PROMPTS)
    assert rows(scene, batch) == [3, 0, 3, 2]
    assert scene.sql("select * from promptmill_results order by job_id") == answers
    assert scene.sql("select * from promptmill_failures") == failures
    assert to_prune(scene.database, PROMPTS) == []
    prune(scene)
    assert rows(scene, batch) == [0, 0, 0, 0]


def test_a_batch_goes_only_when_its_last_prompt_is_old(scene: Scene) -> None:
    """It was submitted long ago, and cancelled today: no attempt tells of that."""
    batch = scene.load(3)
    scene.clock.advance(8 * DAY_S)
    assert to_prune(scene.database, ALL) == []
    with scene.database.write() as connection:
        steering.cancel_batch(connection, batch)
        steering.cancel_jobs(connection, batch)
    assert to_prune(scene.database, ALL) == []
    scene.clock.advance(8 * DAY_S)
    assert [one.id for one in to_prune(scene.database, ALL)] == [batch]


@pytest.mark.parametrize("state", ["pending", "queued", "running", "waiting", "paused", "loading"])
def test_a_batch_with_something_left_is_never_taken(state: str, scene: Scene) -> None:
    if state == "loading":
        batch = scene.load(1)
        scene.order("update batches set state = 'loading', opened_at = null")
    else:
        batch = scene.load(1)
    hints = scene.queue(batch) if state in ("queued", "running", "waiting") else []
    if state in ("running", "waiting"):
        (job,) = scene.claim(*hints).items()
        if state == "waiting":
            scene.close(retry(*job, BROKEN, 1.0))
    if state == "paused":
        with scene.database.write() as connection:
            steering.pause_batch(connection, batch, "by hand")
    scene.clock.advance(80 * DAY_S)
    assert prune(scene) == []
    with scene.database.write() as connection:
        assert not pruning.mark_pruned(connection, batch, Pruned.ALL, age_s=0)
    assert rows(scene, batch)[:2] == [1, 1]


def test_what_is_marked_is_not_done_again(scene: Scene) -> None:
    batch = ended(scene)
    with scene.database.write() as connection:
        assert pruning.mark_pruned(connection, batch, Pruned.PROMPTS, age_s=0)
        assert steering.replay_jobs(connection, batch, [JobState.FAILED]) == []


def test_a_retry_that_commits_first_wins(postgres_database: Database) -> None:
    scene = Scene(postgres_database)
    batch = ended(scene)
    begun, marked = threading.Event(), []

    def mark() -> None:
        with scene.database.write() as connection:
            begun.set()
            marked.append(pruning.mark_pruned(connection, batch, Pruned.ALL, age_s=0))

    thread = threading.Thread(target=mark)
    with scene.database.write() as connection:
        assert steering.replay_jobs(connection, batch, [JobState.FAILED])
        thread.start()
        begun.wait()
    thread.join()
    assert marked == [False]


def test_a_prune_that_was_broken_off_is_gone_on_with(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptmill.producer.dispatching.pruning._CHUNK", 1)
    batch = ended(scene)
    scene.clock.advance(8 * DAY_S)
    steps = prune_steps(scene.database, ALL)
    next(steps)
    steps.close()
    assert rows(scene, batch)[0] == 2
    prune(scene)
    assert rows(scene, batch) == [0, 0, 0, 0]
    assert scene.sql("select pruned_at from batches")[0].pruned_at is not None


def test_the_same_input_is_another_batch_once_all_of_it_is_gone(scene: Scene) -> None:
    ended(scene, name="again")
    for order, gone in ((PROMPTS, False), (ALL, True)):
        scene.clock.advance(8 * DAY_S)
        prune(scene, order)
        with scene.database.read() as connection:
            found = find_batch(connection, "identity of again")
        assert found is not None
        assert bool(found.is_gone) is gone
    assert scene.sql("select options from batches")[0].options in ("{}", {})


def test_the_id_of_a_job_is_never_used_twice(scene: Scene) -> None:
    """A worker that was away for a week would take the new job for its own."""
    batch = ended(scene)
    last = max(scene.ids(batch))
    scene.clock.advance(8 * DAY_S)
    prune(scene)
    assert min(scene.ids(scene.load(2))) > last


def test_a_late_answer_to_a_pruned_job_changes_nothing(scene: Scene) -> None:
    batch = ended(scene)
    job = scene.ids(batch)[0]
    scene.clock.advance(8 * DAY_S)
    prune(scene)
    assert scene.close(finish(job, 1, ANSWERED, ANSWER)) == set()
    assert scene.count("results") == 0


def test_room_in_an_sqlite_file_is_given_back(sqlite_database: Database) -> None:
    scene = Scene(sqlite_database)
    scene.load(3000, jobs=new_jobs(3000))
    scene.order("update jobs set state = 6, finished_at = '2026-11-22T10:00:00.000Z'")
    scene.clock.advance(8 * DAY_S)
    before = scene.sql("pragma page_count")[0].page_count
    prune(scene)
    assert can_give_back(sqlite_database)
    assert free_bytes(sqlite_database) == 0
    assert scene.sql("pragma page_count")[0].page_count < before / 2


def test_the_leader_prunes_a_little_at_a_time_as_the_settings_say(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptmill.producer.dispatching.pruning._CHUNK", 1)
    monkeypatch.setattr("promptmill.producer.dispatching.pruning._STEPS", 2)
    batches = [ended(scene), ended(scene)]
    scene.clock.advance(8 * DAY_S)

    def now() -> float:
        return scene.clock.at.timestamp()

    assert Retention(RetentionSettings(), scene.database, clock=now).turn() == 0
    keeping = Retention(RetentionSettings(days=7), scene.database, clock=now)
    turns = [keeping.turn() for _ in range(6)]
    assert turns[:4] == [2, 1, 2, 1]
    assert [rows(scene, batch)[0] for batch in batches] == [0, 0]
    scene.clock.advance(8 * DAY_S)
    late = ended(scene)
    scene.clock.advance(8 * DAY_S)
    assert [keeping.turn(), keeping.turn()] == [2, 1]
    assert rows(scene, late) == [0, 0, 0, 0]


def test_the_files_of_a_batch_go_with_its_answers_but_those_that_others_share(
    scene: Scene, tmp_path: Path
) -> None:
    job_id, fence = scene.running()
    folder = tmp_path / str(scene.job(job_id).batch_id)
    folder.mkdir()
    for name in ("own", "orphan", "shared"):
        (folder / name).write_bytes(b"picture")
    paths = [str(folder / name) for name in ("own", "shared")]
    files = tuple(StoredFile(n, "image/png", 7, "00", path) for n, path in enumerate(paths))
    scene.close(finish(job_id, fence, ANSWERED, replace(ANSWER, body="{}", files=files)))
    scene.clock.advance(8 * DAY_S)
    young, fence = scene.running()
    shared = replace(ANSWER, body="{}", files=files[1:])
    scene.close(finish(young, fence, ANSWERED, shared))
    prune(scene, replace(PROMPTS, files_dir=tmp_path))
    assert len(list(folder.iterdir())) == 3
    prune(scene, replace(ALL, files_dir=tmp_path))
    assert [path.name for path in folder.iterdir()] == ["shared"]
