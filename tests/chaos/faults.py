"""All faults in the order of their numbers."""

from tests.chaos import (
    at_defaults,
    bad_answers,
    budgets,
    endurance,
    kills,
    lane,
    orders,
    outside,
    redis_away,
    releases,
    sql_away,
    suites,
    zombies,
)

_FAMILIES = (
    kills,
    redis_away,
    sql_away,
    zombies,
    bad_answers,
    budgets,
    orders,
    outside,
    lane,
    endurance,
    releases,
    at_defaults,
    suites,
)
FAULTS = tuple(
    sorted(
        (fault for family in _FAMILIES for fault in family.FAULTS), key=lambda fault: fault.number
    )
)
