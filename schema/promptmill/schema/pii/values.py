"""What masked words stand for: a table apart, which only who unmasks reads."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Column, RowSet, Statement


class MaskPii(StrEnum):
    """Where personal data is masked."""

    PROMPTS = "prompts"
    """before they are stored"""
    ANSWERS = "answers"
    """before they are stored"""
    BOTH = "both"

    @property
    def of_prompts(self) -> bool:
        """Whether prompts are."""
        return self is not MaskPii.ANSWERS


_IDS = RowSet("chosen", (Column("id", "bigint"),))
_values = Statement(
    "select m.job_id, m.word, m.value from {chosen} join pii_map m on m.job_id = chosen.id", _IDS
)


def values_of(connection: Connection, job_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
    """Read what words of these jobs stand for, by job."""
    found: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for job_id, word, value in _values.fetch(connection, {"chosen": [(one,) for one in job_ids]}):
        found[job_id][word] = value
    return found
