"""A migrated database of each engine in turn, on a clock that the test moves, and a receiver."""

from collections.abc import Iterator

import pytest

from tests.schema.conftest import database, postgres_database, scene, sqlite_database
from tests.webhooks.receiver import Receiver

__all__ = ["database", "postgres_database", "scene", "sqlite_database"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
