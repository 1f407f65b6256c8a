"""Migrated databases, each a copy of one that was migrated once in this process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.postgres import Postgres


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "promptmill.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> Iterator[str]:
    """The name of a migrated PostgreSQL database, to be copied."""
    name = postgres.create_database()
    _migrate(postgres.url(name))
    yield name
    postgres.drop_database(name)


@pytest.fixture
def sqlite_copy(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own, as SQLAlchemy names it."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'promptmill.db')}"


@pytest.fixture
def postgres_copy(postgres: Postgres, migrated_postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own, as SQLAlchemy names it."""
    name = postgres.create_database(template=migrated_postgres)
    yield postgres.url(name)
    postgres.drop_database(name)


def _migrate(url: str) -> None:
    from promptmill.schema.database import Database
    from promptmill.schema.migrate import upgrade

    database = Database(url)
    upgrade(database)
    database.close()
