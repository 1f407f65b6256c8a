"""The scripts against the model, and seeded bugs that the machine must find."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis.commands.core import Script
from redis.exceptions import ResponseError

from promptmill.workers.limits.scripts import PARTS, script_text
from tests.limits.machine import FEW, TIGHT, WIDE, LimiterMachine, Place
from tests.services.valkey import Valkey


@dataclass(frozen=True)
class Bug:
    """A change of the scripts, and a scope where it shows soon."""

    right: str
    wrong: str
    place: Place = WIDE


SEEDED_BUGS = {
    "a call is settled twice": Bug(
        "if not close(id) or not record then return 0 end", "if not record then return 0 end"
    ),
    "book ignores a pause": Bug("if left > horizon then", "if false then", FEW),
    "confirm ignores a pause": Bug("and paused(scope, account) == 0", "", FEW),
    "void bookings are sent": Bug("record[2] == plan_of(scope, account)\n", "true\n", FEW),
    "late bookings are sent": Bug("and now - record[1] <= late", ""),
    "only the first bucket is charged": Bug(
        "local function charge(costs, start)\n  for i = 1, #dims do",
        "local function charge(costs, start)\n  for i = 1, 1 do",
    ),
    "a repeated call books twice": Bug("if had[i] then", "if false then"),
    "the cap is ignored": Bug("if in_flight >= cap then", "if false then", FEW),
    "dead leases live on": Bug("if #dead > 0 then", "if false then", FEW),
    "later bookings overtake": Bug("max(now + left, scope.last or 0)", "now + left"),
    "a minute may burst": Bug("DEPTH_US, SAFETY = 250000", "DEPTH_US, SAFETY = 60000000"),
    "the day is not counted": Bug("used_on(dim, day) + cost > limit", "false", FEW),
    "too large waits for ever": Bug("if least[place] > limit then", "if false then", TIGHT),
    "what is cancelled stays charged": Bug("recharge(dim, start, -costs[dim.place])", ""),
    "a void booking is refunded": Bug("if current or dim.day then", "if true then"),
    "nothing is learned": Bug("estimates[place] * ratio(dim)", "estimates[place]"),
    "newcomers overtake": Bug("(scope.queued or 0) <= served", "true"),
    "debt is time": Bug("state.rate ~= rate then", "false then"),
    "no cut after a refusal": Bug("scope.cut, scope.cut_at = m, now", ""),
    "a clock gone back stops all": Bug("rewind(state)\n    write", "write"),
}


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


@pytest.mark.parametrize("name", SEEDED_BUGS)
def test_the_machine_finds_a_seeded_bug(valkey: Valkey, name: str) -> None:
    bug = SEEDED_BUGS[name]
    assert any(bug.right in script_text(script) for script in PARTS), "the scripts have changed"

    class Machine(LimiterMachine):
        client = valkey.client
        scripts: dict[str, Script] = {}  # noqa: RUF012  the machine fills it
        places = (bug.place,)
        mutate = staticmethod(lambda text: text.replace(bug.right, bug.wrong))

    with pytest.raises((AssertionError, ResponseError, TypeError)):
        run_state_machine_as_test(Machine, settings=_settings(1000))
