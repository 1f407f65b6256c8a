"""Limits that are set live are kept, replaced and taken back."""

from datetime import timedelta
from typing import Any

import pytest

from promptmill.schema.errors import UsageError
from promptmill.schema.live_limits import (
    ACCOUNT,
    EVERY_MODEL,
    LiveLimit,
    live_ceilings,
    read_limits,
    set_limit,
    unset_limit,
)
from tests.schema.scene import START, Scene


def put(scene: Scene, model: str, dimension: str, ceiling: float, provider: str = "openai") -> None:
    with scene.database.write() as connection:
        set_limit(connection, provider=provider, model=model, dimension=dimension, ceiling=ceiling)


def take_back(scene: Scene, **of: Any) -> int:
    with scene.database.write() as connection:
        return unset_limit(connection, provider="openai", **of)


def read(scene: Scene) -> tuple[LiveLimit, ...]:
    with scene.database.read() as connection:
        return read_limits(connection)


def test_a_limit_that_is_set_again_replaces_the_one_before(scene: Scene) -> None:
    put(scene, "gpt-4o", "rpm", 500)
    scene.clock.advance(60)
    put(scene, "gpt-4o", "rpm", 0.5)
    later = START + timedelta(seconds=60)
    assert read(scene) == (LiveLimit("openai", "gpt-4o", "rpm", 0.5, later),)


def test_limits_are_read_in_order_and_apart_by_provider(scene: Scene) -> None:
    put(scene, "gpt-4o*", "tpm", 30e6)
    put(scene, ACCOUNT, "rpm", 900)
    put(scene, EVERY_MODEL, "concurrency", 50)
    put(scene, "gpt-4o*", "tpm", 5, provider="azure")
    found = read(scene)
    assert [limit.provider for limit in found] == ["azure", "openai", "openai", "openai"]
    assert live_ceilings(found, "openai") == {
        (EVERY_MODEL, "concurrency"): 50,
        (ACCOUNT, "rpm"): 900,
        ("gpt-4o*", "tpm"): 30e6,
    }


def test_limits_are_taken_back_one_by_one_or_all_of_a_model(scene: Scene) -> None:
    for dimension in ("rpm", "tpm", "rpd"):
        put(scene, "gpt-4o", dimension, 5)
    put(scene, "o3", "rpm", 5)
    assert take_back(scene, model="gpt-4o", dimension="rpm") == 1
    assert take_back(scene, model="gpt-4o", dimension="rpm") == 0
    assert take_back(scene, model="gpt-4o") == 2
    assert [limit.model for limit in read(scene)] == ["o3"]


@pytest.mark.parametrize(
    ("model", "dimension", "ceiling", "told"),
    [
        ("", "rps", 5, "there is no limit 'rps': it is one of rpm, tpm, .*, concurrency"),
        ("", "rpm", 0, "a number above 0, not 0; to stop calls, pause the provider"),
        ("", "rpm", float("nan"), "a number above 0, not nan"),
        ("", "rpm", float("inf"), "a number above 0, not inf"),
        ("gpt-4o", "concurrency", 5, "over all models of a key: set it without a model"),
        ("", "concurrency", 0.5, "a whole number of calls, at least 1"),
    ],
)
def test_what_is_no_limit_is_refused(
    sqlite_database: Any, model: str, dimension: str, ceiling: float, told: str
) -> None:
    scene = Scene(sqlite_database)
    with pytest.raises(UsageError, match=told):
        put(scene, model, dimension, ceiling)
    assert read(scene) == ()
