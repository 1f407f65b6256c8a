"""Settings in the environment and a migrated database, of each engine in turn, as fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.schema.database import Database
from promptmill.schema.settings import Settings, load_settings
from tests.schema.scene import Scene


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test's own, of each engine in turn, as SQLAlchemy names it."""
    return str(request.getfixturevalue(f"{request.param}_copy"))


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings in the environment, so that child processes have them too."""
    monkeypatch.setenv("PROMPTMILL_DATABASE_URL", database_url)
    monkeypatch.setenv("PROMPTMILL_STATE_DIR", str(tmp_path / "state"))
    return load_settings()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The database that the settings name."""
    database = Database.from_settings(settings)
    yield database
    database.close()


@pytest.fixture
def scene(database: Database) -> Scene:
    """The same database, for a test that plays the workers' part."""
    return Scene(database)
