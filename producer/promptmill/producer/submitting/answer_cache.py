"""Which answers of other jobs a batch takes: `--cache-ttl 12h`, `--cache-similar 0.95`."""

from dataclasses import dataclass

from promptmill.producer.ages import parse_age
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.steering import set_cache

USUAL_S = 7 * 86_400
"""how old an answer may be, where nobody says"""
_NONE = "none"


@dataclass(frozen=True, slots=True)
class AnswerCache:
    """Answers that are at most so many seconds old; 0: none."""

    seconds: int = USUAL_S
    similar: float | None = None
    """to requests that are at least so similar, too; None: to equal ones only"""


def parse_cache(*, ttl: str | None = None, similar: float | None = None) -> AnswerCache:
    """Read an age, or `none`, and a similarity. Raises UsageError."""
    if similar is not None and not 0.5 <= similar <= 1:
        msg = f"--cache-similar {similar:g} is not from 0.5 to 1: write 0.95"
        raise UsageError(msg)
    if ttl == _NONE:
        return AnswerCache(0)
    seconds = USUAL_S if ttl is None else parse_age(ttl, "--cache-ttl")
    if not seconds:
        msg = f"--cache-ttl {ttl!r} is too short: write 12h or 30d, or none for no cache"
        raise UsageError(msg)
    return AnswerCache(seconds, similar)


def change_cache(database: Database, batch_id: int, cache: AnswerCache) -> None:
    """Let a batch that is there take such answers from now on."""
    with database.write() as connection:
        set_cache(connection, batch_id, cache.seconds, cache.similar)
