"""What the frequent moves touch in SQL does not grow with what is in the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from benchmarks.growth_cases.history import set_the_scene
from benchmarks.growth_cases.moves import MOVES
from benchmarks.growth_cases.touched import touched
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from tests.services.postgres import Postgres

FEW, MANY = 2_000, 20_000
MOST_GROWTH = 1.2
"""for a level more of a B-tree; a scan would make it 10"""


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
            counts = {name: touched(database, partial(move, scene)) for name, move in MOVES.items()}
            with database.write() as connection:
                connection.exec_driver_sql("analyze jobs")  # all that waits is due by then
            for name in ("dispatch_look", "dispatch_waiting", "take_back"):
                counts[f"{name}, analyzed"] = touched(database, partial(MOVES[name], scene))
            counted.append(counts)
    few, many = counted
    assert all(few.values()), few
    grown = {name: (few[name], many[name]) for name in few if many[name] > few[name] * MOST_GROWTH}
    assert not grown
