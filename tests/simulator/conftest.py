"""Fixtures of the simulator's own tests; `simulator` itself is everybody's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from promptmill.simulator import Simulator, SimulatorConfig
from tests.simulator.clients import RawClient, Sdks


@pytest.fixture
def start() -> Iterator[Callable[..., Simulator]]:
    """Start a simulator with the configuration's fields; it stops with the test."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(Simulator(SimulatorConfig(**fields)))


@pytest.fixture
def sdks() -> Iterator[Sdks]:
    with ExitStack() as stack:
        yield Sdks(stack)


@pytest.fixture
def connect() -> Iterator[Callable[[Simulator], RawClient]]:
    """Open a raw connection; it closes with the test."""
    with ExitStack() as stack:

        def open_connection(simulator: Simulator) -> RawClient:
            client = RawClient(simulator)
            stack.callback(client.socket.close)
            return client

        yield open_connection
