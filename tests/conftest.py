"""Fixtures for every test. Services are real, start when a test first needs them, and end.

What tests import: `tests.services.waiting.wait_until`, and the classes of the fixtures below.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.services import network
from tests.services.copies import migrated_postgres, migrated_sqlite, postgres_copy, sqlite_copy
from tests.services.environment import clean_environment
from tests.services.postgres import Postgres
from tests.services.repeatable import make_repeatable
from tests.services.valkey import Valkey

if TYPE_CHECKING:
    from promptmill.simulator import Simulator

__all__ = ["migrated_postgres", "migrated_sqlite", "postgres_copy", "sqlite_copy"]

_RUN_FOLDER = "PM_TEST_RUN_FOLDER"

network.refuse_the_outside()
make_repeatable()


def pytest_configure() -> None:
    """Make the folder of this test run, once: the parallel processes inherit its name."""
    if _RUN_FOLDER not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="pm-"))
        folder.chmod(0o711)  # PostgreSQL, not run as root, must reach its own part of it
        os.environ[_RUN_FOLDER] = str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the services left of that folder."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(_RUN_FOLDER), ignore_errors=True)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a clean environment, an empty folder to be in, and no way out."""
    network.attempts.clear()
    with clean_environment():
        monkeypatch.chdir(tmp_path)
        yield
    assert not network.attempts, "a test tried to leave this machine"


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """A folder with a short path that all processes of this test run share."""
    return Path(os.environ[_RUN_FOLDER])


@pytest.fixture
def short_folder(run_folder: Path) -> Path:
    """A folder whose path is short enough for a unix socket in it, as `tmp_path` is not."""
    return Path(tempfile.mkdtemp(dir=run_folder))


@pytest.fixture(scope="session")
def valkey_server(run_folder: Path) -> Iterator[Valkey]:
    """This process' own Valkey. Use `valkey`, unless the scope must be wider than a test."""
    with Valkey(Path(tempfile.mkdtemp(dir=run_folder))) as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """An empty Valkey. A test that kills it starts it again, or has one of its own."""
    valkey_server.flush()
    return valkey_server


@pytest.fixture(scope="session")
def postgres(run_folder: Path) -> Iterator[Postgres]:
    """The PostgreSQL server of this test run."""
    with Postgres(run_folder / "postgres") as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own, as SQLAlchemy names it."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine in turn, as SQLAlchemy names it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'promptmill.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def simulator() -> "Iterator[Simulator]":
    """A stand-in for the three providers, over real HTTP, without limits or faults."""
    from promptmill.simulator import Simulator, SimulatorConfig

    with Simulator(SimulatorConfig()) as server:
        yield server
