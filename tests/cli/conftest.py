"""Settings in the environment, a migrated database of each engine in turn, and the command."""

import pytest

from tests.cli.promptmill import Here
from tests.services.migrated import database, database_url, scene, settings

__all__ = ["database", "database_url", "promptmill", "scene", "settings"]


@pytest.fixture
def promptmill(capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line, run in this process."""
    return Here(capsys)
