"""What a call costs, as each provider's page says."""

import pytest

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.charges import Charge, dimensions, expected, settled
from promptmill.workers.limits.limit import Dimension, Estimate

OPENAI, ANTHROPIC, GEMINI = ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GEMINI
USAGE = Usage(1000, 200, cache_read_tokens=600)


@pytest.mark.parametrize(
    ("kind", "dimension", "allowed", "charge"),
    [
        (OPENAI, Dimension.RPM, 4000, Charge(1, 1)),
        (OPENAI, Dimension.TPM, 4000, Charge(4000, 4000)),
        (OPENAI, Dimension.TPM, 100, Charge(1100, 1000)),
        (OPENAI, Dimension.TPM, None, Charge(1256, 1000)),
        (ANTHROPIC, Dimension.ITPM, 4000, Charge(1000, 1000)),
        (ANTHROPIC, Dimension.OTPM, 4000, Charge(4000, 0)),
        (GEMINI, Dimension.TPM, 4000, Charge(1000, 1000)),
    ],
)
def test_a_call_is_charged_before_it_is_made(
    kind: ProviderKind, dimension: Dimension, allowed: int | None, charge: Charge
) -> None:
    assert expected(kind, dimension, Estimate(1000, allowed)) == charge


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
    assert settled(kind, dimension, Estimate(900, allowed), USAGE) == cost


def test_all_that_headers_may_tell_and_all_that_is_configured_is_counted() -> None:
    counted = dimensions(GEMINI, (Dimension.TPD, Dimension.RPM))
    assert counted == (Dimension.RPM, Dimension.TPM, Dimension.RPD, Dimension.TPD)
