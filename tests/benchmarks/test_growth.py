"""What the frequent moves touch in SQL does not grow with what is in the tables."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from benchmarks.growth_cases.history import set_the_scene
from benchmarks.growth_cases.moves import MOVES
from benchmarks.growth_cases.touched import touched
from promptmill.schema.backlog import (
    Scope,
    Unasked,
    backlog,
    cancelled_batches,
    due_waiting,
    pending_rows,
    row_sample,
    started_jobs,
)
from promptmill.schema.database import Database
from promptmill.schema.indexes import add_missing_indexes
from promptmill.schema.moves.carrying import ended_of_nobody, set_apart
from promptmill.schema.moves.laning import let_go, set_aside
from promptmill.schema.moves.queueing import queue_pending
from promptmill.schema.moves.rerouting import Detour, reroute, ruled_batches
from promptmill.schema.moves.rescuing import unwaited_calls
from promptmill.schema.moves.spending import pause_used_up
from promptmill.schema.moves.steering import cancel_batch, cancel_jobs, pause_batch
from promptmill.schema.provider_batches import (
    lane_is_needed,
    lane_terms,
    laned_jobs,
    laned_scopes,
)
from tests.schema.scene import MODEL, PROVIDER, Scene
from tests.services.postgres import Postgres

FEW, MANY = 2_000, 20_000
MOST_GROWTH = 1.2
"""for a level more of a B-tree; a scan would make it 10"""
FEW_ROWS, MANY_ROWS = 200, 2_000
Looks = Mapping[str, Callable[[Connection], object]]
SCOPE = Scope(PROVIDER, MODEL)
ENDED = """
insert into batches (id, name, state, identity, identity_no, input_name, options, created_at,
  tenant_id, carried, waited_by, fallbacks, lane)
with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})
select 1000 + i, 'live_', case when i % 10 = 0 then 'cancelled' else 'open' end, 'ended', i,
  'made.jsonl', '{{}}', {at}, {whose}, 'gone', '{{}}', 'batch' from n"""
A_TENANTS, NOBODYS = "1, 1", "null, null"
OF_ENDED = (
    "insert into batch_spending (batch_id, spent_micros) select id, 1 from batches where id > 1000",
    "insert into batch_counts select id, 'openai', 'm', 4, 1 from batches where id > 1000",
)
AT = {"sqlite": "'2026-11-22T11:00:00.000Z'", "postgresql": "timestamptz '2026-11-22 11:00Z'"}


@contextmanager
def migrated(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    template = request.getfixturevalue(f"migrated_{engine}")
    if engine == "sqlite":
        folder.mkdir()
        database = Database(f"sqlite:///{shutil.copy(template, folder / 'promptmill.db')}")
        yield database
        database.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create_database(template)
    database = Database(server.url(name))
    with database.write() as connection:  # or statistics come when they like, and change a plan
        connection.exec_driver_sql("alter table jobs set (autovacuum_enabled = off)")
    yield database
    database.close()
    server.drop_database(name)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_no_move_touches_more_of_a_table_that_is_ten_times_as_large(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    counted = []
    for jobs in (FEW, MANY):
        with migrated(engine, tmp_path / str(jobs), request) as database:
            scene = set_the_scene(database, jobs=jobs, waiting=jobs // 10)
            moves = {name: partial(move, scene) for name, move in MOVES.items()}
            counts = touched_by(database, moves)
            with database.write() as connection:
                connection.exec_driver_sql("analyze jobs")  # all that waits is due by then
            for name in ("dispatch_look", "dispatch_waiting", "take_back"):
                counts[f"{name}, analyzed"] = touched(database, moves[name])
            assert all(counts.values()), counts
            counted.append(counts)
    assert not grown(*counted)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_what_is_due_is_found_as_fast_where_ten_times_as_much_is_due_of_a_batch_that_is_held(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    look: Looks = {"due": lambda c: due_waiting(c, SCOPE, most=100)}
    counted = []
    for jobs in (FEW_ROWS, MANY_ROWS):
        with scene_on(engine, tmp_path / str(jobs), request) as scene:
            held, due = scene.load(jobs), scene.load(300)
            put_off(scene, held)
            with scene.database.write() as connection:
                pause_batch(connection, held, "paused by hand")
            analyze(scene.database)
            put_off(scene, due)
            counted.append(known_or_not(scene.database, look))
            first = {hint.job_id for hint in scene.queue_due(most=100)}
            assert len(first & set(scene.ids(due))) == 100
    assert not grown(*counted)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_the_first_jobs_of_a_batch_are_moved_as_fast_where_another_has_ten_times_as_many(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    counted = []
    for jobs in (FEW, MANY):
        with scene_on(engine, tmp_path / str(jobs), request) as scene:
            spread(scene, jobs)
            analyze(scene.database)
            counted.append(known_or_not(scene.database, moves_of(spread(scene, 90), most=5)))
    assert all(counted[0].values()), counted[0]
    assert not grown(*counted)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_the_next_jobs_of_a_batch_are_found_as_fast_where_ten_times_as_many_of_it_have_gone(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The statistics are from its load: they know of none that has gone."""
    counted = []
    for jobs in (FEW, MANY):
        with scene_on(engine, tmp_path / str(jobs), request) as scene:
            batch = scene.load(jobs + 300)
            analyze(scene.database)
            scene.queue(batch, most=jobs)
            with scene.database.write() as connection:
                set_aside(connection, batch_id=batch, **SCOPE._asdict(), most=100)
            looks = moves_of(batch, most=5) | {
                "pending": lambda c, batch=batch: pending_rows(c, batch, SCOPE, after=0, most=5),
                "sample": lambda c, batch=batch: [
                    row_sample(c, batch, SCOPE, where, most=5) for where in Unasked
                ],
            }
            del looks["cancel"]  # which reads what is queued, and that is little
            counted.append(touched_by(scene.database, looks))
    assert all(counted[0].values()), counted[0]
    assert not grown(*counted)


def put_off(scene: Scene, batch: int) -> None:
    """Let all jobs of a batch be due, later than those of the batches before."""
    scene.postpone(*scene.queue(batch, most=MANY_ROWS), seconds=0.0)
    scene.clock.advance(1.0)


def spread(scene: Scene, jobs: int) -> int:
    """Make a batch of which a third each is in the lane, due, and pending."""
    batch = scene.load(jobs)
    with scene.database.write() as connection:
        set_aside(connection, batch_id=batch, **SCOPE._asdict(), most=jobs // 3)
    scene.postpone(*scene.queue(batch, most=jobs // 3), seconds=0.0)
    return batch


def moves_of(batch: int, *, most: int) -> dict[str, Callable[[Connection], object]]:
    scope: Any = {"batch_id": batch, **SCOPE._asdict()}
    here = f"{PROVIDER}/{MODEL}"

    def cancel(connection: Connection) -> None:
        cancel_batch(connection, batch)
        cancel_jobs(connection, batch, most=most)

    return {
        "let go": lambda c: let_go(c, batch, most=most),
        "laned": lambda c: laned_jobs(c, **scope, after=0, most=most),
        "set aside": lambda c: set_aside(c, **scope, most=most),
        "queue": lambda c: queue_pending(c, **scope, most=most),
        "reroute": lambda c: reroute(c, Detour(batch, here, here, "openai/another"), most=most),
        "cancel": cancel,
    }


def known_or_not(database: Database, looks: Looks) -> dict[str, int]:
    """Count with statistics that do not know of the last rows, and with such that do."""
    counts = touched_by(database, looks)
    analyze(database)
    again = touched_by(database, looks)
    return counts | {f"{name}, known": count for name, count in again.items()}


def analyze(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("analyze")


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize("whose", [A_TENANTS, NOBODYS])
def test_the_dispatcher_looks_at_no_more_where_ten_times_as_many_batches_have_ended(
    engine: str, whose: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each live call of a tenant's is one, and there are those that were submitted by hand."""
    looks: Looks = {
        "backlog": backlog,
        "started": started_jobs,
        "cancelled": cancelled_batches,
        "budgets": pause_used_up,
        "fallbacks": lambda c: ruled_batches(c, near_s=0.0),
        "unwaited": lambda c: unwaited_calls(c, most=1000),
        "ended": lambda c: ended_of_nobody(c, most=1000),
        "lanes": lane_terms,
        "lane": lambda c: lane_is_needed(c, PROVIDER),
        "laned": lambda c: laned_scopes(c, PROVIDER, most=1000),
    }
    counted = []
    for count in (FEW_ROWS, MANY_ROWS):
        with scene_on(engine, tmp_path / str(count), request) as scene:
            for budget in (None, 100):
                scene.queue(scene.load(10, budget_micros=budget), most=5)
            with scene.database.write() as connection:
                at = AT[scene.database.dialect]
                verbatim = connection.execution_options(no_parameters=True)
                for statement in (ENDED.format(count=count, at=at, whose=whose), *OF_ENDED):
                    verbatim.exec_driver_sql(statement)
                set_apart(connection, ended_of_nobody(connection, most=count))
                assert len(backlog(connection)) == 2
            with scene.database.write() as connection:  # an upgrade makes it when most are marked
                connection.exec_driver_sql("drop index batches_to_do")
            add_missing_indexes(scene.database)
            analyze(scene.database)
            counted.append(touched_by(scene.database, looks))
    assert not grown(*counted)


@contextmanager
def scene_on(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with migrated(engine, folder, request) as database:
        yield Scene(database)


def touched_by(database: Database, looks: Looks) -> dict[str, int]:
    return {name: touched(database, look) for name, look in looks.items()}


def grown(few: Mapping[str, int], many: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {name: (few[name], many[name]) for name in few if many[name] > few[name] * MOST_GROWTH}
