"""What the frequent moves touch in SQL does not grow with what is in the tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from benchmarks.growth_cases.history import set_the_scene
from benchmarks.growth_cases.moves import MOVES
from benchmarks.growth_cases.touched import touched
from promptmill.schema.backlog import (
    Scope,
    backlog,
    cancelled_batches,
    due_waiting,
    started_jobs,
)
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from promptmill.schema.moves.rerouting import ruled_batches
from promptmill.schema.moves.rescuing import unwaited_calls
from promptmill.schema.moves.spending import pause_used_up
from promptmill.schema.moves.steering import pause_batch
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
  tenant_id, carried, waited_by, fallbacks)
with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})
select 1000 + i, 'live_', case when i % 10 = 0 then 'cancelled' else 'open' end, 'ended', i,
  'made.jsonl', '{{}}', {at}, 1, 1, 'gone', '{{}}' from n"""
OF_ENDED = (
    "insert into batch_spending (batch_id, spent_micros) select id, 1 from batches where id > 1000",
    "insert into batch_counts select id, 'openai', 'm', 4, 1 from batches where id > 1000",
)
AT = {"sqlite": "'2026-11-22T11:00:00.000Z'", "postgresql": "timestamptz '2026-11-22 11:00Z'"}


@contextmanager
def empty(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    if engine == "sqlite":
        database = Database(f"sqlite:///{folder / 'promptmill.db'}")
        yield database
        database.close()
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create_database()
    database = Database(server.url(name))
    upgrade(database)
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
        with empty(engine, tmp_path / str(jobs), request) as database:
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
    looks: Looks = {"due": lambda c: due_waiting(c, SCOPE, most=100)}
    counted = []
    for jobs in (FEW_ROWS, MANY_ROWS):
        with scene_on(engine, tmp_path / str(jobs), request) as scene:
            held, due = scene.load(jobs), scene.load(300)
            for batch in (held, due):  # which is due later
                scene.postpone(*scene.queue(batch, most=jobs + 300), seconds=0.0)
                scene.clock.advance(1.0)
            with scene.database.write() as connection:
                pause_batch(connection, held, "paused by hand")
                connection.exec_driver_sql("analyze")
            counted.append(touched_by(scene.database, looks))
            first = {hint.job_id for hint in scene.queue_due(most=100)}
            assert len(first & set(scene.ids(due))) == 100
    assert not grown(*counted)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_the_dispatcher_looks_at_no_more_where_ten_times_as_many_live_calls_have_ended(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each of them is a batch."""
    looks: Looks = {
        "backlog": backlog,
        "started": started_jobs,
        "cancelled": cancelled_batches,
        "budgets": pause_used_up,
        "fallbacks": lambda c: ruled_batches(c, near_s=0.0),
        "unwaited": lambda c: unwaited_calls(c, most=1000),
    }
    counted = []
    for count in (FEW_ROWS, MANY_ROWS):
        with scene_on(engine, tmp_path / str(count), request) as scene:
            for budget in (None, 100):
                scene.queue(scene.load(10, budget_micros=budget), most=5)
            with scene.database.write() as connection:
                at = AT[scene.database.dialect]
                verbatim = connection.execution_options(no_parameters=True)
                for statement in (ENDED.format(count=count, at=at), *OF_ENDED):
                    verbatim.exec_driver_sql(statement)
                connection.exec_driver_sql("analyze")
                assert len(backlog(connection)) == 2
            counted.append(touched_by(scene.database, looks))
    assert not grown(*counted)


@contextmanager
def scene_on(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with empty(engine, folder, request) as database:
        upgrade(database)
        yield Scene(database)


def touched_by(database: Database, looks: Looks) -> dict[str, int]:
    return {name: touched(database, look) for name, look in looks.items()}


def grown(few: Mapping[str, int], many: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {name: (few[name], many[name]) for name in few if many[name] > few[name] * MOST_GROWTH}
