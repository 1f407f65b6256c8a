"""One simulator and one event loop for all contract tests: clients are slow to make."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from promptmill.workers.event_loop import EventLoop
from promptmill.workers.providers.http import open_http
from tests.providers.dialects import DIALECTS, Harness


class Loop(EventLoop):
    """The worker's own. libuv makes no audit events, by which tests stay on this machine."""

    async def create_connection(  # type: ignore[override]  # its stubs have four forms of it
        self, factory: Any, host: Any = None, port: Any = None, **how: Any
    ) -> Any:
        if host is not None:
            sys.audit("socket.connect", None, (host, port))
        return await super().create_connection(factory, host, port, **how)

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        sys.audit("socket.getaddrinfo", host.encode("idna"), port, 0, 0, 0)
        return await super().getaddrinfo(host, port, **how)


@pytest.fixture(scope="session")
def harness() -> Iterator[Harness]:
    with Simulator(SimulatorConfig()) as simulator, asyncio.Runner(loop_factory=Loop) as runner:
        shared = Harness(simulator, runner.run, open_http(concurrency=8))
        yield shared
        runner.run(shared.close())


@pytest.fixture(params=list(DIALECTS))
def name(request: pytest.FixtureRequest) -> str:
    """Each adapter in turn."""
    return str(request.param)
