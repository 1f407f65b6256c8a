"""A mill at work, its dispatcher running, with one worker for all tests of a file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from promptmill.workers.spool import Spool
from tests.schema.conftest import database, postgres_database, scene, sqlite_database
from tests.services.celery_events import CeleryEvents
from tests.services.running_mill import RunningMill, Worker
from tests.services.valkey import Valkey
from tests.services.world import assert_world

__all__ = ["database", "postgres_database", "scene", "sqlite_database"]

CONCURRENCY = 20


@pytest.fixture(scope="module")
def idle_mill(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMill]:
    """A mill with neither dispatcher nor worker, for tests that hand out the hints themselves."""
    env = {"WORKER__CONCURRENCY": str(CONCURRENCY)}
    with (
        Valkey(Path(tempfile.mkdtemp(dir=run_folder))) as valkey,
        Simulator(SimulatorConfig()) as simulator,
        RunningMill(tmp_path_factory.mktemp("mill"), valkey, simulator, env=env) as mill,
    ):
        yield mill


@pytest.fixture(scope="module")
def mill(idle_mill: RunningMill) -> RunningMill:
    """A mill with a dispatcher and without a worker; at the end the world must be in order."""
    idle_mill.start_dispatcher()
    return idle_mill


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "answers", most_bytes=2**20)


@pytest.fixture(scope="module")
def events(mill: RunningMill) -> Iterator[CeleryEvents]:
    """What Celery tells Flower."""
    with CeleryEvents(mill.settings) as events:
        yield events


@pytest.fixture(scope="module")
def worker(mill: RunningMill, events: CeleryEvents) -> Iterator[Worker]:
    """One worker process for all three providers."""
    yield mill.start_worker()
    assert_world(mill, events=events.seen, unbooked=UNBOOKED)


UNBOOKED = 0
"""the test that revokes an open call ends it before its answer came"""
