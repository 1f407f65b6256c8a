"""A program run for somebody, as Flower is: the bundled server ends with its last user."""

import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from promptmill.producer.cli.handover import run_beside
from promptmill.producer.embedded.valkey import RedisPlace, ensure_redis, find_redis
from promptmill.schema.settings import Settings, load_settings

ENDS = "import os; raise SystemExit(int(os.environ['HOW']))"
STAYS = "from threading import Event; Event().wait()"


@pytest.fixture
def settings(short_folder: Path) -> Settings:
    return load_settings(state_dir=short_folder / "state")


@pytest.fixture
def place(settings: Settings) -> Iterator[RedisPlace]:
    with ensure_redis(settings) as found:
        yield found


def run(place: RedisPlace, program: str, stop: Event) -> int:
    command = [sys.executable, "-S", "-c", program]
    return run_beside(place, command, {"HOW": "3"}, stop, grace_s=20)


def test_a_program_that_ends_takes_its_server_along(settings: Settings, place: RedisPlace) -> None:
    assert run(place, ENDS, Event()) == 3
    assert find_redis(settings) is None


def test_a_program_that_is_to_stop_takes_its_server_along(
    settings: Settings, place: RedisPlace
) -> None:
    stop = Event()
    stop.set()
    assert run(place, STAYS, stop) == 0
    assert find_redis(settings) is None


def test_a_server_that_others_use_stays(settings: Settings, place: RedisPlace) -> None:
    with ensure_redis(settings):
        run(place, ENDS, Event())
        assert find_redis(settings) == place.url
