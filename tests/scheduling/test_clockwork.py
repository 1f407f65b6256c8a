"""Of each time there is one batch, whoever submits it, dies over it, or comes late."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.scheduling.arguments import stored_arguments
from promptmill.producer.scheduling.clockwork import Clockwork, LeftError, clockwork_at_work
from promptmill.producer.scheduling.firing import fire
from promptmill.schema.database import DatabaseError
from promptmill.schema.schedules import (
    Ended,
    NewSchedule,
    Outcome,
    Overlap,
    Tick,
    add_schedule,
    claim_tick,
    count_schedules,
    end_tick,
    keep_tick,
    pause_schedule,
    resume_schedule,
    schedule_named,
)
from promptmill.schema.settings import Settings
from tests.schema.scene import START, Scene
from tests.services.waiting import wait_until

DAY_S, LEASE_S = 86_400.0, 120.0
FIRST = START.replace(minute=0) + timedelta(hours=1)
"""11:00, a minute after the clock of the scene begins"""


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("Hello\nWorld\n", encoding="utf-8")
    return path


def add(scene: Scene, source: Path, *, name: str = "daily", overlap: str = "allow") -> None:
    typed = {"source": str(source), "model": ["gpt-4o-mini"], "limit": None}
    arguments = stored_arguments(typed, folder=Path.cwd())
    new = NewSchedule(name, "0 11 * * *", "UTC", arguments, Overlap(overlap), FIRST)
    with scene.database.write() as connection:
        assert add_schedule(connection, new)
        assert not add_schedule(connection, new)


def clockwork(scene: Scene) -> Clockwork:
    return Clockwork(Settings(), scene.database)


def claim(scene: Scene) -> Tick | None:
    with scene.database.write() as connection:
        return claim_tick(connection, lease_s=LEASE_S)


def row(scene: Scene, name: str = "daily") -> Any:
    (found,) = scene.sql(f"select * from schedules where name = '{name}'")
    return found


def opened(scene: Scene) -> list[Any]:
    return scene.sql("select * from batches where state <> 'loading' order by id")


def test_a_batch_is_submitted_at_each_time_and_none_between(scene: Scene, prompts: Path) -> None:
    add(scene, prompts)
    works = clockwork(scene)
    works.turn()
    assert opened(scene) == []
    for day in range(3):
        scene.clock.advance(61 if not day else DAY_S)
        works.turn()
        works.turn()
        assert len(opened(scene)) == day + 1
    assert {batch.name for batch in opened(scene)} == {"daily"}
    assert len({batch.identity for batch in opened(scene)}) == 3
    assert [scene.count(f"jobs where batch_id = {one.id}") for one in opened(scene)] == [2, 2, 2]
    assert (row(scene).outcome, row(scene).batch_id) == ("submitted", opened(scene)[-1].id)
    with scene.database.read() as connection:
        daily = schedule_named(connection, "daily")
    assert daily is not None
    assert (daily.last_at, daily.next_at) == (FIRST + timedelta(days=2), FIRST + timedelta(days=3))


def test_what_was_missed_is_caught_up_once(scene: Scene, prompts: Path) -> None:
    add(scene, prompts)
    scene.clock.advance(5 * DAY_S + 61)
    clockwork(scene).turn()
    assert len(opened(scene)) == 1
    scene.clock.advance(DAY_S)
    clockwork(scene).turn()
    assert len(opened(scene)) == 2


def test_two_at_once_make_one_batch_and_a_late_one_books_nothing(
    scene: Scene, prompts: Path
) -> None:
    add(scene, prompts)
    scene.clock.advance(61)
    first = claim(scene)
    assert first is not None
    assert claim(scene) is None
    scene.clock.advance(LEASE_S + 1)
    second = claim(scene)
    assert second is not None
    with scene.database.write() as connection:
        assert not keep_tick(connection, first, lease_s=LEASE_S)
        assert keep_tick(connection, second, lease_s=LEASE_S)
    made = [fire(Settings(), scene.database, each.schedule, each.at) for each in (first, second)]
    assert made[0] == made[1]
    assert len(opened(scene)) == 1
    with scene.database.write() as connection:
        assert not end_tick(connection, first, Ended(Outcome.FAILED), next_at=FIRST)
        assert end_tick(connection, second, made[1], next_at=FIRST + timedelta(days=1))
    clockwork(scene).turn()
    assert len(opened(scene)) == 1


def test_who_died_between_the_batch_and_the_end_of_its_time_is_found_out_though_the_input_changed(
    scene: Scene, prompts: Path
) -> None:
    add(scene, prompts)
    scene.clock.advance(61)
    dead = claim(scene)
    assert dead is not None
    made = fire(Settings(), scene.database, dead.schedule, dead.at)
    prompts.write_text("other prompts\n", encoding="utf-8")
    scene.clock.advance(LEASE_S + 1)
    clockwork(scene).turn()
    assert [batch.id for batch in opened(scene)] == [made.batch_id]
    assert (row(scene).outcome, row(scene).batch_id) == ("submitted", made.batch_id)
    other = scene.load(1, name="a second one of the same time")
    with pytest.raises(DatabaseError), scene.database.write() as connection:  # SQL itself says no
        connection.exec_driver_sql(
            "update batches set schedule_id = (select schedule_id from batches where id ="
            f" {made.batch_id}), scheduled_at = (select scheduled_at from batches where id ="
            f" {made.batch_id}) where id = {other}"
        )


def test_a_submit_that_is_left_is_gone_on_with(scene: Scene, prompts: Path) -> None:
    add(scene, prompts)
    scene.clock.advance(61)
    works = clockwork(scene)
    tick = claim(scene)
    assert tick is not None
    works.ends = True
    with pytest.raises(LeftError):
        works._work(tick)
    scene.order("update schedules set leased_until = null")
    clockwork(scene).turn()
    assert len(opened(scene)) == 1


def test_a_time_is_left_out_while_the_batch_before_is_open_unless_told_otherwise(
    scene: Scene, prompts: Path
) -> None:
    add(scene, prompts, overlap="skip")
    scene.clock.advance(61)
    clockwork(scene).turn()
    scene.clock.advance(DAY_S)
    clockwork(scene).turn()
    (batch,) = opened(scene)
    assert (row(scene).outcome, row(scene).problem, row(scene).batch_id) == (
        "skipped", f"batch {batch.id} has not ended", batch.id
    )  # fmt: skip
    scene.order("update jobs set state = 6, finished_at = " + f"'{scene.clock()}'")
    scene.clock.advance(DAY_S)
    clockwork(scene).turn()
    assert len(opened(scene)) == 2
    assert (row(scene).outcome, row(scene).problem) == ("submitted", None)


def test_a_file_that_is_gone_or_bad_is_told_at_its_schedule_and_stops_no_other(
    scene: Scene, prompts: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"custom_id": "a", "secret": "words"\n', encoding="utf-8")
    add(scene, tmp_path / "gone.txt", name="a gone one")
    add(scene, bad, name="a bad one")
    add(scene, prompts, name="good")
    scene.clock.advance(61)
    clockwork(scene).turn()
    assert [row(scene, name).outcome for name in ("a gone one", "a bad one", "good")] == [
        "failed", "failed", "submitted"
    ]  # fmt: skip
    assert "gone.txt" in row(scene, "a gone one").problem
    assert "bad.jsonl, line 1: " in row(scene, "a bad one").problem
    assert "words" not in row(scene, "a bad one").problem
    with scene.database.read() as connection:
        assert count_schedules(connection) == {"at_work": 1, "paused": 0, "failing": 2}
    scene.clock.advance(DAY_S)
    (tmp_path / "gone.txt").write_text("back\n", encoding="utf-8")
    clockwork(scene).turn()
    assert row(scene, "a gone one").outcome == "submitted"


def test_a_paused_one_rests_and_goes_on_from_when_it_is_told(scene: Scene, prompts: Path) -> None:
    add(scene, prompts)
    with scene.database.write() as connection:
        assert pause_schedule(connection, "daily")
        assert not pause_schedule(connection, "daily")
    scene.clock.advance(3 * DAY_S)
    clockwork(scene).turn()
    assert opened(scene) == []
    with scene.database.write() as connection:
        assert resume_schedule(connection, "daily", FIRST + timedelta(days=3))
        assert not resume_schedule(connection, "daily", FIRST)
    clockwork(scene).turn()
    assert opened(scene) == []
    scene.clock.advance(61)
    clockwork(scene).turn()
    assert len(opened(scene)) == 1


def test_a_dispatcher_has_it_at_work_and_an_idle_one_writes_nothing(
    scene: Scene, prompts: Path
) -> None:
    add(scene, prompts)
    idle = clockwork(scene)
    with scene.database.write() as blocker:
        # SQLite has one writer: a turn that wrote would wait for this one, and fail.
        idle.turn()
        assert blocker.in_transaction()
    scene.order("update schedules set next_at = '2026-01-01T11:00:00.000Z'")
    url = scene.database.url.render_as_string(hide_password=False)
    with clockwork_at_work(Settings(database_url=url)):
        wait_until(lambda: opened(scene), "the batch of the time that was missed")
    assert row(scene).leased_until is None
