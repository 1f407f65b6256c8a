"""Prompts that are too long: what becomes of them, and what is remembered of it."""

from dataclasses import dataclass
from enum import StrEnum

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Statement


class Truncate(StrEnum):
    """What becomes of a prompt that is too long."""

    ERROR = "error"
    """it fails, before any call"""
    DROP_OLDEST = "drop-oldest"
    """its oldest turns are left out"""
    HEAD = "head"
    """its beginning is kept"""
    TAIL = "tail"
    """its end is kept"""


@dataclass(frozen=True, slots=True)
class Truncation:
    """How prompts are cut."""

    how: Truncate
    most: int | None = None
    """tokens of a prompt that are sent; None: as many as its model takes"""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was left out of one call, in tokens by our own count; a row of `truncations`."""

    how: str
    cut_tokens: int
    cut_turns: int
    sent_tokens: int
    refused: int = 0
    """1: its provider says that it is too long all the same, and perhaps:"""
    told_tokens: int | None = None
    """how long it is"""
    told_most: int | None = None
    """how long it may be, most often with its answer"""


_refused = Statement(
    """
select how, cut_tokens, cut_turns, sent_tokens, refused, told_tokens, told_most from truncations
where job_id = :job_id and refused = 1 order by fence desc limit 1"""
)


def refused_cut_of(connection: Connection, job_id: int) -> Cut | None:
    """Return what was sent of this job the last time that its provider found it too long."""
    rows = _refused.fetch(connection, job_id=job_id)
    return Cut(*rows[0]) if rows else None
