"""The glossary has every state and outcome, and rate-limits every dimension, as the code does."""

import re

from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from promptmill.workers.limits.limit import Dimension
from tests.docs.pages import page


def rows(name: str, heading: str) -> list[str]:
    """List the first cells of the tables under *heading*, where they are code."""
    section = page(name).text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_the_glossary_has_each_state_and_each_outcome_in_order() -> None:
    words = [state.word for state in JobState] + [outcome.word for outcome in AttemptOutcome]
    assert rows("docs/glossary.md", "States") == words


def test_the_page_of_limits_has_each_dimension() -> None:
    documented = rows("docs/rate-limits.md", "Limits and how to set them")
    assert documented == [*(dimension.value for dimension in Dimension), "concurrency"]
