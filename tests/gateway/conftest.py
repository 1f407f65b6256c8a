"""A mill at work with a gateway before it, for all tests of a file; and a gateway alone."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from promptmill.schema.database import Database
from promptmill.schema.settings import GatewaySettings, Settings
from promptmill.simulator import Simulator, SimulatorConfig
from tests.services.migrated import database, database_url, settings
from tests.services.running_gateway import RunningGateway
from tests.services.running_mill import GEMINI, MODELS, RunningMill
from tests.services.valkey import Valkey

__all__ = ["database", "database_url", "settings"]

IDLE = "idle"
"""a provider that no worker answers for"""
LISTENING = {"WEBHOOKS__ALLOW_PRIVATE": "true"}
BY_WORKERS = frozenset({IDLE, GEMINI})
SMALL = GatewaySettings(
    file_bytes=100_000, lines=5, body_bytes=5000, idle_s=0.5, live_s=0.2, connections=50, grace_s=2
)


@pytest.fixture(scope="module")
def mill(run_folder: Path, valkey_server: Valkey) -> Iterator[RunningMill]:
    valkey_server.flush()
    folder = Path(tempfile.mkdtemp(dir=run_folder))
    with (
        Simulator(SimulatorConfig()) as simulator,
        RunningMill(folder, valkey_server, simulator, vendors=[IDLE], env=LISTENING) as mill,
    ):
        mill.start_dispatcher()
        mill.start_worker(*MODELS)
        yield mill


@pytest.fixture(scope="module")
def served(mill: RunningMill) -> Iterator[RunningGateway]:
    """A gateway that asks some providers itself, and leaves those to workers whose key it lacks."""
    sections = {
        name: section.model_copy(update={"api_key": None}) if name in BY_WORKERS else section
        for name, section in mill.settings.providers.items()
    }
    settings = mill.settings.model_copy(update={"providers": sections})
    with RunningGateway(settings, mill.database) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def client(served: RunningGateway) -> OpenAI:
    return served.client()


@pytest.fixture
def gateway(settings: Settings, database: Database) -> Iterator[RunningGateway]:
    """A gateway with small limits, over each engine in turn; nobody answers."""
    small = settings.model_copy(update={"gateway": SMALL})
    with RunningGateway(small, database) as running:
        yield running
