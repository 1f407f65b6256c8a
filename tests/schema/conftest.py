"""Migrated databases, of each engine in turn: copies of one that was migrated once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from tests.schema.scene import Scene
from tests.services.postgres import Postgres


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "promptmill.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> Iterator[str]:
    """The name of a migrated PostgreSQL database, to be copied."""
    name = postgres.create_database()
    database = Database(postgres.url(name))
    upgrade(database)
    database.close()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def sqlite_database(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite database of this test's own."""
    path = shutil.copy(migrated_sqlite, tmp_path / "promptmill.db")
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres: Postgres, migrated_postgres: str) -> Iterator[Database]:
    """A migrated PostgreSQL database of this test's own."""
    name = postgres.create_database(template=migrated_postgres)
    database = Database(postgres.url(name))
    yield database
    database.close()
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated database of this test's own, of each engine in turn."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def scene(database: Database) -> Scene:
    """A migrated database of each engine in turn, on a clock that the test moves."""
    return Scene(database)
