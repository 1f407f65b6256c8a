"""How fast jobs start is told by what was claimed, whatever comes and goes of batches."""

import pytest

from promptmill.producer.dispatching.depth import StartRates
from promptmill.schema.backlog import Scope

SCOPE = Scope("openai", "m")
OTHER = Scope("openai", "n")


def rate(*looks: dict[tuple[int, Scope], int]) -> float:
    """Look once in a second, for long; the last look is told again and again."""
    rates = StartRates(over_s=0.001)
    for at, started in enumerate(looks):
        rates.observe(float(at), started)
    return rates.of(SCOPE)


def test_it_is_what_was_started_since_the_last_look_in_all_batches() -> None:
    before = {(1, SCOPE): 100, (2, SCOPE): 0, (2, OTHER): 0}
    assert rate(before, {(1, SCOPE): 110, (2, SCOPE): 5, (2, OTHER): 7}) == pytest.approx(15)
    assert rate(before, {**before, (3, SCOPE): 4}) == pytest.approx(4), "of a new batch"
    assert rate(before, {**before, (1, SCOPE): 90}) == 0, "jobs that were put back start nothing"
    assert rate(before, before, before) == 0


def test_a_batch_that_ends_or_comes_back_starts_nothing() -> None:
    both, one = {(1, SCOPE): 1000, (2, SCOPE): 5}, {(2, SCOPE): 5}
    assert rate(both, one) == rate(both, one, both) == 0
    assert rate(both, {}, both) == 0
    assert rate(both, one, {(2, SCOPE): 25}) == pytest.approx(20)


def test_of_a_scope_of_which_nothing_is_left_the_rate_falls() -> None:
    begun = [{(1, SCOPE): 0}, {(1, SCOPE): 50}]
    assert rate(*begun) == pytest.approx(50)
    assert rate(*begun, {}) == pytest.approx(0)
