"""What becomes of prompts that are too long: `--truncate tail`, `--max-input-tokens 8k`."""

from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.steering import set_truncation
from promptmill.schema.provider_settings import parse_amount
from promptmill.schema.truncation import Truncate, Truncation


def parse_truncation(how: str | None, most: str | int | None) -> Truncation | None:
    """Read how, and to how many tokens; None: nobody said. Raises UsageError."""
    if how is None and most is None:
        return None
    if how is not None and how not in list(Truncate):
        msg = f"--truncate {how!r} is none of {', '.join(Truncate)}"
        raise UsageError(msg)
    tokens = parse_amount(str(most)) if most is not None else None
    if tokens is not None and not (isinstance(tokens, float) and tokens >= 1):
        msg = f"--max-input-tokens {most!r} is no number of tokens: write 4000 or 8k"
        raise UsageError(msg)
    return Truncation(
        Truncate(how or Truncate.ERROR), int(tokens) if isinstance(tokens, float) else None
    )


def change_truncation(database: Database, batch_id: int, truncation: Truncation) -> None:
    """Let prompts of a batch that is there be cut so from now on."""
    with database.write() as connection:
        set_truncation(connection, batch_id, truncation.how, truncation.most)
