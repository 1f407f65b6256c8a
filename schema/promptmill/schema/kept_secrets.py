"""Secrets that this database keeps: made up once, so that nobody outside can guess them."""

from collections.abc import Callable

from promptmill.schema.connection import Connection
from promptmill.schema.database import Database
from promptmill.schema.statement import Statement

_read = Statement("select value from secrets where name = :name")
_make = Statement(
    "insert into secrets (name, value, made_at) values (:name, :value, {now})"
    " on conflict (name) do nothing"
)
_replace = Statement(
    "insert into secrets (name, value, made_at) values (:name, :value, {now})"
    " on conflict (name) do update set value = excluded.value, made_at = excluded.made_at"
)


def kept_secret(database: Database, name: str, make: Callable[[], str]) -> str:
    """Read the secret of this name; the first who asks makes it."""
    with database.read() as connection:
        found = read_secret(connection, name)
    if found is None:
        with database.write() as connection:
            _make.run(connection, name=name, value=make())
            found = read_secret(connection, name)
        assert found is not None  # noqa: S101  it was made, by us or by another
    return found


def read_secret(connection: Connection, name: str) -> str | None:
    """Read the secret of this name, if there is one."""
    rows = _read.fetch(connection, name=name)
    return str(rows[0][0]) if rows else None


def replace_secret(connection: Connection, name: str, value: str) -> None:
    """Keep *value* from now on."""
    _replace.run(connection, name=name, value=value)
