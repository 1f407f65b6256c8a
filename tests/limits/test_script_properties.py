"""The scripts against the model."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.commands.core import Script

from tests.limits.machine import LimiterMachine
from tests.services.valkey import Valkey


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def test_the_scripts_do_what_the_model_does(valkey: Valkey) -> None:
    class Machine(LimiterMachine):
        client = valkey.client
        scripts: dict[str, Script] = {}  # noqa: RUF012  the machine fills it

    run_state_machine_as_test(Machine, settings=_settings(80))
