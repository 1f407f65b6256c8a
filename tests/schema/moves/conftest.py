"""Every move of a job, by what it does: over both engines."""

from collections.abc import Iterator

import pytest

from tests.schema.scene import Scene


@pytest.fixture(autouse=True)
def _sums_hold(scene: Scene) -> Iterator[None]:
    """After every test: counters equal the tables, rollups the sums over attempts."""
    yield
    scene.assert_sums()
