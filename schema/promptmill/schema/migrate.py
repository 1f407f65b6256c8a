"""Bring a database to this release's tables, triggers and views.

Tables change by Alembic revisions, named by growing numbers of four digits. Triggers and views hold
no data, so they are made anew from the code after each upgrade.
"""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from promptmill.schema.database import Database
from promptmill.schema.errors import ContractError
from promptmill.schema.triggers import trigger_statements
from promptmill.schema.views import VIEWS, view_statements

_FOLDER = Path(__file__).with_name("migrations")
_LOCK = 7305114411  # any fixed number: one upgrade at a time on PostgreSQL


def upgrade(database: Database) -> str:
    """Upgrade to the newest revision and return it. Two at once wait for each other.

    Raises ContractError for a database that a newer release has upgraded; nothing is changed then.
    """
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
        found = _revision(connection)
        if found is not None and found > newest_revision():
            raise ContractError(_newer(found))
        if found != newest_revision():
            for name in reversed(VIEWS):
                connection.exec_driver_sql(f"drop view if exists {name}")
            command.upgrade(_config(connection), "head")
        verbatim = connection.execution_options(no_parameters=True)  # or `%` is a placeholder
        for statement in (*trigger_statements(database.dialect), *view_statements()):
            verbatim.exec_driver_sql(statement)
    return newest_revision()


def require_current(database: Database) -> None:
    """Raise ContractError unless the database has this release's revision."""
    with database.read() as connection:
        found = _revision(connection)
    if found is not None and found > newest_revision():
        raise ContractError(_newer(found))
    if found != newest_revision():
        msg = (
            f"the database is at revision {found or 'none'}, this release needs"
            f" {newest_revision()}: run `promptmill db upgrade`"
        )
        raise ContractError(msg)


def newest_revision() -> str:
    """Name the revision this release needs."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    if head is None:
        msg = "this installation lacks its migrations: install promptmill again"
        raise ContractError(msg)
    return head


def _newer(revision: str) -> str:
    return (
        f"the database is at revision {revision}, which this release does not know: a newer"
        " promptmill has upgraded it, so use that one here too"
    )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
