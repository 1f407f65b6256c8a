"""A fresh folder for each test, with the simulator behind the providers' URLs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.simulator import Simulator
from tests.acceptance.laptop import Laptop


@pytest.fixture
def laptop(short_folder: Path, simulator: Simulator) -> Iterator[Laptop]:
    with Laptop(short_folder, simulator) as place:
        yield place
