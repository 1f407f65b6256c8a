"""One simulator and one event loop for all contract tests: clients are slow to make."""

import asyncio
from collections.abc import Iterator

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from promptmill.workers.providers.http import open_http
from tests.providers.dialects import DIALECTS, Harness


@pytest.fixture(scope="session")
def harness() -> Iterator[Harness]:
    with Simulator(SimulatorConfig()) as simulator, asyncio.Runner() as runner:
        shared = Harness(simulator, runner.run, open_http(concurrency=8))
        yield shared
        runner.run(shared.close())


@pytest.fixture(params=list(DIALECTS))
def name(request: pytest.FixtureRequest) -> str:
    """Each adapter in turn."""
    return str(request.param)
