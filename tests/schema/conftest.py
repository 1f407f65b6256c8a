"""Migrated databases, of each engine in turn."""

from collections.abc import Iterator

import pytest

from promptmill.schema.database import Database
from tests.schema.scene import Scene


@pytest.fixture
def sqlite_database(sqlite_copy: str) -> Iterator[Database]:
    """A migrated SQLite database of this test's own."""
    database = Database(sqlite_copy)
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_copy: str) -> Iterator[Database]:
    """A migrated PostgreSQL database of this test's own."""
    database = Database(postgres_copy)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated database of this test's own, of each engine in turn."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def scene(database: Database) -> Scene:
    """A migrated database of each engine in turn, on a clock that the test moves."""
    return Scene(database)
