"""The secret of the response cache: who reads Redis cannot tell by it which prompts were asked."""

import secrets

from promptmill.schema.database import Database
from promptmill.schema.statement import Statement

_NAME = "cache"
_read = Statement("select value from secrets where name = :name")
_make = Statement(
    "insert into secrets (name, value, made_at) values (:name, :value, {now})"
    " on conflict (name) do nothing"
)


def cache_secret(database: Database) -> bytes:
    """Read the secret; the first who asks makes it up."""
    with database.read() as connection:
        found = _read.fetch(connection, name=_NAME)
    if not found:
        with database.write() as connection:
            _make.run(connection, name=_NAME, value=secrets.token_hex(32))
            found = _read.fetch(connection, name=_NAME)
    return bytes.fromhex(found[0][0])
