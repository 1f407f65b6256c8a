"""Mills that a test breaks."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from tests.services.running_mill import RunningMill
from tests.services.valkey import Valkey

MakeMill = Callable[..., RunningMill]


@pytest.fixture
def make_mill(run_folder: Path, tmp_path: Path) -> Iterator[MakeMill]:
    """Start mills; *env* is laid over their settings."""
    with ExitStack() as open_:

        def make(*, vendors: Sequence[str] = (), database_url: str = "", **env: str) -> RunningMill:
            valkey = open_.enter_context(Valkey(Path(tempfile.mkdtemp(dir=run_folder))))
            simulator = open_.enter_context(Simulator(SimulatorConfig()))
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            mill = RunningMill(folder, valkey, simulator, database_url, env, vendors)
            return open_.enter_context(mill)

        yield make
