"""What a call costs, as each provider's page says, and as its model taught."""

import pytest

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.charges import Charge, Charges, counts
from promptmill.workers.limits.learned import Learned, from_examples
from promptmill.workers.limits.limit import Charging, Dimension, Estimate, Example

OPENAI, ANTHROPIC, GEMINI = ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GEMINI
PLACES = list(Dimension)
USAGE = Usage(1000, 200, cache_read_tokens=600)
NOTHING = Learned()


@pytest.mark.parametrize(
    ("kind", "dimension", "allowed", "charge"),
    [
        (OPENAI, Dimension.RPM, 4000, Charge(1, 1)),
        (OPENAI, Dimension.TPM, 4000, Charge(5000, 4000)),
        (OPENAI, Dimension.TPM, 100, Charge(1100, 1000)),
        (OPENAI, Dimension.TPM, None, Charge(1256, 1000)),
        (OPENAI, Dimension.RPD, None, Charge(1, 1)),
        (OPENAI, Dimension.TPD, None, Charge(1256, 1000)),
        (ANTHROPIC, Dimension.TPM, 4000, Charge(5000, 500)),
        (ANTHROPIC, Dimension.ITPM, 4000, Charge(1000, 500)),
        (ANTHROPIC, Dimension.OTPM, 4000, Charge(4000, 0)),
        (GEMINI, Dimension.TPM, 4000, Charge(1000, 500)),
    ],
)
def test_a_call_is_charged_before_it_is_made(
    kind: ProviderKind, dimension: Dimension, allowed: int | None, charge: Charge
) -> None:
    charges = Charges(kind).expected(Estimate(1000, allowed), NOTHING)
    assert charges[PLACES.index(dimension)] == charge


@pytest.mark.parametrize(
    ("kind", "dimension", "allowed", "cost"),
    [
        (OPENAI, Dimension.RPD, None, 1),
        (OPENAI, Dimension.TPM, 4000, 4000),
        (OPENAI, Dimension.TPM, None, 1200),
        (ANTHROPIC, Dimension.ITPM, 4000, 400),
        (ANTHROPIC, Dimension.OTPM, 4000, 200),
        (ANTHROPIC, Dimension.TPM, 4000, 600),
        (GEMINI, Dimension.TPM, 4000, 1000),
    ],
)
def test_a_call_is_charged_by_its_usage(
    kind: ProviderKind, dimension: Dimension, allowed: int | None, cost: int
) -> None:
    assert Charges(kind).settled(Estimate(900, allowed), USAGE)[PLACES.index(dimension)] == cost


@pytest.mark.parametrize(
    ("charging", "expected", "settled"),
    [
        (Charging(), 5000, 4000),
        (Charging(tokens="usage"), 5000, 1200),
        (Charging(tokens="input"), 1000, 1000),
        (Charging(tokens="usage", cached_input="free"), 5000, 600),
    ],
)
def test_how_tokens_are_charged_can_be_told(
    charging: Charging, expected: int, settled: int
) -> None:
    charges, estimate = Charges(OPENAI, charging), Estimate(1000, 4000)
    assert charges.expected(estimate, NOTHING)[1].cost == expected
    assert charges.settled(estimate, USAGE)[1] == settled


def test_only_openai_is_charged_by_max_tokens() -> None:
    assert [Charges(each).by_max_tokens for each in (OPENAI, ANTHROPIC, GEMINI)] == [True, 0, 0]
    assert not Charges(OPENAI, Charging(tokens="usage")).by_max_tokens


def learned(calls: int, allowed: int | None = 1000) -> Learned:
    """Calls of 100 tokens as estimated that turned out to take 150, and 200 of answer."""
    return from_examples([Example(Estimate(100, allowed), 150, 200)] * calls)


def test_what_calls_taught_is_expected_of_the_next() -> None:
    fifty = learned(200)
    assert fifty.input_ratio == pytest.approx(1.5, abs=0.01)
    assert fifty.expect_input(Estimate(1000, None)) == pytest.approx(1500, rel=0.01)
    assert fifty.expect_output(Estimate(1000, 500)) == pytest.approx(100, rel=0.1)
    assert fifty.expect_output(Estimate(1000, None)) == pytest.approx(200, rel=0.1)


def test_thirty_calls_outweigh_a_first_estimate_that_was_far_off() -> None:
    past = [Example(Estimate(100, 4096), 100, 83)] * 30
    assert from_examples(past).answer < 200


def test_the_first_call_is_not_taken_for_all() -> None:
    assert 1 < learned(1).input_ratio < 1.3
    assert learned(1).input_ratio < learned(3).input_ratio < learned(30).input_ratio < 1.5


def test_what_is_certain_is_not_changed_by_what_was_learned() -> None:
    for kind in (OPENAI, ANTHROPIC, GEMINI):
        before = Charges(kind).expected(Estimate(1000, 4000), NOTHING)
        after = Charges(kind).expected(Estimate(1000, 4000), learned(50))
        assert [each.least for each in after] == [each.least for each in before]
        assert [each.cost for each in after] != [each.cost for each in before]


def test_a_wild_lesson_is_taken_with_care() -> None:
    high = from_examples([Example(Estimate(10, 10), 10_000, 10_000)] * 100)
    low = from_examples([Example(Estimate(10_000, 10_000), 0, 0)] * 300)
    assert (high.input_ratio, high.output_ratio) == (4.0, 1.0)
    assert (low.input_ratio, low.output_ratio) == (0.02, 0.02)


def test_a_maximum_far_above_the_answers_is_noticed_after_some_calls() -> None:
    assert learned(50).is_far_above(Estimate(100, 4000))
    assert not learned(50).is_far_above(Estimate(100, 400))
    assert not learned(50).is_far_above(Estimate(100, None))
    assert not learned(3).is_far_above(Estimate(100, 100_000))


def test_headers_set_only_what_their_provider_tells() -> None:
    assert not counts(Dimension.ITPM, OPENAI)
    assert counts(Dimension.TPD, OPENAI)
    assert counts(Dimension.ITPM, ANTHROPIC)
    assert not counts(Dimension.TPD, ANTHROPIC)
