"""Bring a database to this release's tables, triggers, views and indexes, also while workers run.

Tables change by Alembic revisions, named by growing numbers of four digits. Revisions only add, so
a release goes on working on a database that a newer one has upgraded; one that must break with
older releases says so by `works_from` in its file: the oldest revision that may still work on it.
Triggers and views hold no data: they are made anew from the code when that has changed.

Nobody waits for an upgrade for long: what it needs of a table is asked for with a short
`lock_timeout`, and asked for again later where somebody holds it. See `indexes`, too.
"""

import hashlib
from threading import Event
from time import monotonic
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from promptmill.schema.database import Database, DatabaseError, is_held_by_others
from promptmill.schema.errors import ContractError, ServiceError
from promptmill.schema.indexes import add_missing_indexes
from promptmill.schema.revisions import FOLDER, newer, newest_revision, revision_of
from promptmill.schema.statement import Statement
from promptmill.schema.triggers import TRIGGERS, trigger_statements
from promptmill.schema.views import VIEWS, view_statements

PATIENCE_S = 300.0
"""how long an upgrade tries to get what others hold"""
_LOCK = 7305114411  # any fixed number: one upgrade at a time on PostgreSQL
_WAIT_MS = 500
"""for a lock; whoever comes after us waits behind us for so long. Less than the second after which
PostgreSQL ends a deadlock, so that it is we who give way"""
_PAUSE_S = 0.5
_FIRST = "0001"

_GRANTED = """
select g.columns, c.relname,
  case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end
from pg_class c cross join lateral (
  select '' as columns, a.* from aclexplode(c.relacl) a
  union all
  select '(' || quote_ident(t.attname) || ')', a.* from pg_attribute t, aclexplode(t.attacl) a
  where t.attrelid = c.oid) g
where c.relkind = 'v' and pg_table_is_visible(c.oid) and g.privilege_type = 'SELECT'
  and g.grantee <> c.relowner"""
"""All of a view, or some of its columns."""

_note = Statement(
    """
insert into revisions (revision, works_from, definitions, upgraded_at)
values (:revision, :works_from, :definitions, {now})
on conflict (revision) do update set definitions = excluded.definitions"""
)


def upgrade(database: Database, *, patience_s: float = PATIENCE_S) -> str:
    """Upgrade to the newest revision and return it. Two at once wait for each other.

    Raises ContractError for a database that a newer release has upgraded, and ServiceError where
    others hold the tables for longer than *patience_s*; nothing is changed then.
    """
    until = monotonic() + patience_s
    while True:
        try:
            with database.write() as connection:
                _upgrade(connection)
        except DatabaseError as error:
            if not is_held_by_others(error):
                raise
            if monotonic() >= until:
                msg = (
                    f"other transactions have held the tables for {patience_s:.0f} s, and nothing"
                    " was changed: end long queries and exports, then try again"
                )
                raise ServiceError(msg) from None
            Event().wait(_PAUSE_S)
        else:
            add_missing_indexes(database)
            return newest_revision()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
        connection.exec_driver_sql(f"set local lock_timeout = {_WAIT_MS}")
    found = revision_of(connection)
    if found is not None and found > newest_revision():
        raise ContractError(newer(found))
    dialect = connection.dialect.name
    statements = (*trigger_statements(dialect), *view_statements(dialect))
    definitions = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    if found == newest_revision() and _has_made(connection, definitions):
        return
    if found is not None and connection.dialect.name == "postgresql":
        # In the order of those who write, who would else wait for us while we wait for them.
        connection.exec_driver_sql("lock table jobs, attempts in share row exclusive mode")
    grants = _grants(connection)
    if found != newest_revision():
        _drop_views(connection)
        command.upgrade(_config(connection), "head")
    verbatim = connection.execution_options(no_parameters=True)  # or `%` is a placeholder
    for statement in (*statements, *grants):
        verbatim.exec_driver_sql(statement)
    works_from = max(getattr(one.module, "works_from", _FIRST) for one in _applied())
    _note.run(
        connection, revision=newest_revision(), works_from=works_from, definitions=definitions
    )


def _has_made(connection: Connection, definitions: str) -> bool:
    """Tell whether triggers and views are there, and made of these statements."""
    made = connection.exec_driver_sql(
        "select definitions from revisions order by revision desc limit 1"
    ).scalar()
    names = {*inspect(connection).get_view_names(), *_trigger_names(connection)}
    return made == definitions and names >= {*VIEWS, *TRIGGERS}


def _trigger_names(connection: Connection) -> set[str]:
    catalogue = {
        "sqlite": "select name from sqlite_master where type = 'trigger'",
        "postgresql": "select tgname from pg_trigger where not tgisinternal",
    }[connection.dialect.name]
    return set(connection.exec_driver_sql(catalogue).scalars())


def _grants(connection: Connection) -> list[str]:
    """Write anew who may read the views, for those go, and what was granted goes with them."""
    if connection.dialect.name == "sqlite":
        return []
    verbatim = connection.execution_options(no_parameters=True)
    granted = verbatim.exec_driver_sql(_GRANTED).all()
    return [
        f"grant select {columns} on {view} to {role}"
        for columns, view, role in granted
        if view in VIEWS
    ]


def _drop_views(connection: Connection) -> None:
    """They would keep columns from being changed."""
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"drop view if exists {name}")


def _applied() -> list[Any]:
    return list(_scripts().walk_revisions())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(FOLDER))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
