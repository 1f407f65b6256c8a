"""The scripts against the model, and seeded bugs that the machine must find."""

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.commands.core import Script

from tests.limits.machine import LimiterMachine
from tests.limits.seeded_bugs import SEEDED_BUGS
from tests.services.valkey import Valkey

_BEGINNINGS = range(36)
"""Many short searches: one that begins badly stays where it is for hundreds of examples."""


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def test_the_scripts_do_what_the_model_does(valkey: Valkey) -> None:
    class Machine(LimiterMachine):
        client = valkey.client
        scripts: dict[str, Script] = {}  # noqa: RUF012  the machine fills it

    run_state_machine_as_test(Machine, settings=_settings(80))


@pytest.mark.parametrize("name", SEEDED_BUGS)
def test_the_machine_finds_a_seeded_bug(valkey: Valkey, name: str) -> None:
    bug = SEEDED_BUGS[name]
    assert bug.is_somewhere, "the scripts have changed"

    class Machine(LimiterMachine):
        client = valkey.client
        scripts: dict[str, Script] = {}  # noqa: RUF012  the machine fills it
        places = (bug.place,)
        mutate = staticmethod(bug.mutate)

    assert any(_finds(Machine, number) for number in _BEGINNINGS[bug.beginning :])


def _finds(machine: type[LimiterMachine], number: int) -> bool:
    try:
        run_state_machine_as_test(seed(number)(machine), settings=_settings(100))
    except AssertionError:
        return True
    return False
