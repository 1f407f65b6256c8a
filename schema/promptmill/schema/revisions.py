"""Which revision a database has, and whether this release may work on it.

Without Alembic, whose import takes a command longer than its answer: only `migrate` needs that.
"""

from functools import cache
from pathlib import Path
from typing import Final

from promptmill.schema.connection import Connection, Source
from promptmill.schema.errors import ContractError
from promptmill.schema.statement import Statement

FOLDER: Final = Path(__file__).with_name("migrations")

_tables = {
    "sqlite": Statement("select 1 from sqlite_master where type = 'table' and name = :name"),
    "postgresql": Statement("select 1 where to_regclass(:name) is not null"),
}
_revision = Statement("select version_num from alembic_version")
_works_from = Statement("select max(works_from) from revisions")


def require_current(database: Source) -> str:
    """Return the revision of a database that this release may work on, or raise ContractError.

    It is this release's, or that of a newer one that lets this one go on.
    """
    with database.read() as connection:
        found = revision_of(connection)
        if found is not None and found > newest_revision():
            if not _has_table(connection, "revisions"):
                raise ContractError(newer(found))
            require_recent(connection)
            return found
    if found != newest_revision():
        msg = (
            f"the database is at revision {found or 'none'}, this release needs"
            f" {newest_revision()}: run `promptmill db upgrade`"
        )
        raise ContractError(msg)
    return found


def require_recent(connection: Connection) -> None:
    """Raise ContractError where a newer release has made the database one that we would spoil."""
    ((works_from,),) = _works_from.fetch(connection)
    if works_from is not None and works_from > newest_revision():
        raise ContractError(newer(works_from))


@cache
def newest_revision() -> str:
    """Name the revision this release needs."""
    numbers = [path.name[:4] for path in (FOLDER / "versions").glob("[0-9]*.py")]
    if not numbers:
        msg = "this installation lacks its migrations: install promptmill again"
        raise ContractError(msg)
    return max(numbers)


def revision_of(connection: Connection) -> str | None:
    """Read the revision of a database; None where it has no tables yet."""
    if not _has_table(connection, "alembic_version"):
        return None
    for (found,) in _revision.fetch(connection):
        return str(found)
    return None


def newer(revision: str) -> str:
    """Say that a newer release has been here."""
    return (
        f"the database is at revision {revision}, which this release does not know: a newer"
        " promptmill has upgraded it, so use that one here too"
    )


def _has_table(connection: Connection, name: str) -> bool:
    return bool(_tables[connection.dialect.name].fetch(connection, name=name))
