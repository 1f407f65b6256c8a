"""A dispatcher's surroundings: a migrated database of each engine in turn, and a real broker."""

from collections.abc import Iterator

import pytest

from promptmill.schema.database import Database
from tests.dispatch.mill import Mill
from tests.schema.conftest import database, postgres_database, sqlite_database
from tests.schema.scene import Scene
from tests.services.valkey import Valkey

__all__ = ["database", "postgres_database", "sqlite_database"]


@pytest.fixture
def mill(database: Database, valkey: Valkey) -> Iterator[Mill]:
    """A mill without a dispatcher yet, on a clock that the test moves."""
    with Mill(Scene(database), valkey) as mill:
        yield mill
