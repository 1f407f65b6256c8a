"""Which answers of other jobs a batch takes, as people say it: `--cache`, `--cache-ttl 12h`."""

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


def parse_cache(text: str) -> AnswerCache:
    """Read an age, or `none`. Raises UsageError."""
    if text == _NONE:
        return AnswerCache(0)
    cache = AnswerCache(parse_age(text, "--cache-ttl"))
    if not cache.seconds:
        msg = f"--cache-ttl {text!r} is too short: write 12h or 30d, or none for no cache"
        raise UsageError(msg)
    return cache


def change_cache(database: Database, batch_id: int, cache: AnswerCache) -> None:
    """Let a batch that is there take such answers from now on."""
    with database.write() as connection:
        set_cache(connection, batch_id, cache.seconds)
