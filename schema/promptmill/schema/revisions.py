"""Which revision a database has, and whether this release may work on it.

Without Alembic, whose import takes a command longer than its answer: only `migrate` needs that.
"""

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect

from promptmill.schema.database import Database
from promptmill.schema.errors import ContractError

FOLDER: Final = Path(__file__).with_name("migrations")


def require_current(database: Database) -> str:
    """Return the revision of a database that this release may work on, or raise ContractError.

    It is this release's, or that of a newer one that lets this one go on.
    """
    with database.read() as connection:
        found = revision_of(connection)
        if found is not None and found > newest_revision():
            if not inspect(connection).has_table("revisions"):
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
    works_from = connection.exec_driver_sql("select max(works_from) from revisions").scalar()
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
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql(
        "select version_num from alembic_version"
    ).scalar()
    return found


def newer(revision: str) -> str:
    """Say that a newer release has been here."""
    return (
        f"the database is at revision {revision}, which this release does not know: a newer"
        " promptmill has upgraded it, so use that one here too"
    )
