"""Several limits asked together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.simulator import Limits, Provider, SimulatorConfig
from promptmill.simulator.config import Dimension, parse_amount
from promptmill.simulator.limits import Cost, Excess, Limiter, Scope, retry_after_s


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(1, 400)), max_size=50))
def test_a_refusal_by_one_limit_takes_nothing_from_the_others(
    arrivals: list[tuple[float, float]],
) -> None:
    scope = Scope(Limits(rpm=20, tpm=500, rpd=30))
    now, accepted = 0.0, 0
    for gap, tokens in arrivals:
        now += gap
        if scope.admit(now, Cost(rpm=1, tpm=tokens, rpd=1)) is None:
            accepted += 1
    assert scope.standings(now)[Dimension.RPD].remaining == 30 - accepted


def test_the_limit_with_the_longest_wait_is_the_one_told() -> None:
    scope = Scope(Limits(rpm=1, rpd=1))
    assert scope.admit(0.0, Cost(rpm=1, rpd=1)) is None
    excess = scope.admit(1.0, Cost(rpm=1, rpd=1))
    assert excess is not None
    assert excess.dimension is Dimension.RPD


def test_output_is_refused_only_when_none_is_left_and_may_overdraw() -> None:
    scope = Scope(Limits(otpm=10))
    assert scope.admit(0.0, Cost(rpm=1)) is None
    scope.add(0.0, Cost(otpm=25))
    excess = scope.admit(0.0, Cost(rpm=1))
    assert excess is not None
    assert excess.dimension is Dimension.OTPM
    assert scope.admit(excess.wait_s, Cost(rpm=1)) is None


def test_a_limit_of_one_key_and_model_is_not_felt_by_another() -> None:
    limiter = Limiter(SimulatorConfig(limits=Limits(rpm=1)), lambda: 0.0)
    for key, model in (("a", "m"), ("b", "m"), ("a", "n")):
        scope = limiter.scope(Provider.OPENAI, key, model)
        assert limiter.admit(scope, Cost(rpm=1)) is None
        assert limiter.admit(scope, Cost(rpm=1)) is not None


def test_limits_of_a_model_win_over_its_providers_and_those_over_all() -> None:
    config = SimulatorConfig(
        limits=Limits(rpm=1),
        limits_for={"openai": Limits(rpm=2), "gpt-5": Limits(rpm=3)},
    )
    assert config.limits_of(Provider.GEMINI, "gemini-3-pro").rpm == 1
    assert config.limits_of(Provider.OPENAI, "gpt-4o").rpm == 2
    assert config.limits_of(Provider.OPENAI, "gpt-5").rpm == 3


def test_a_wait_is_told_in_whole_seconds_and_not_at_all_where_it_would_be_endless() -> None:
    excess = Excess(Dimension.TPM, limit=1, used=0, requested=1, wait_s=0.2)
    assert retry_after_s(excess) == 1
    endless = Excess(Dimension.TPM, limit=1, used=0, requested=2, wait_s=math.inf)
    assert retry_after_s(endless) is None


@pytest.mark.parametrize(
    ("text", "amount"), [("500", 500), ("200k", 200_000), ("1.5M", 1.5e6), ("30,000", 30_000)]
)
def test_amounts_are_read_in_human_units(text: str, amount: float) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", ["", "k", "-5", "1e3x", "nan"])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="200k"):
        parse_amount(text)
