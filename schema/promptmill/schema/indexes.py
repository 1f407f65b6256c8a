"""Make the indexes that the tables of this release have and a database lacks.

A revision makes the indexes of its own new tables. An index on a table that has rows already needs
no revision, only its line in `tables`: it is made here, and on PostgreSQL without keeping anybody
from writing. Until it is there, queries are slow, not wrong.
"""

from threading import Event

from sqlalchemy import Connection, Index
from sqlalchemy.schema import CreateIndex

from promptmill.schema.database import Database
from promptmill.schema.tables import metadata

_LOCK = 7305114413  # any fixed number: one maker of indexes at a time on PostgreSQL
_VALID = {
    "sqlite": "select name from sqlite_master where type = 'index'",
    "postgresql": """
select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indisvalid and c.relnamespace = current_schema()::regnamespace""",
}
_PAUSE_S = 0.1
_REPLACED = frozenset({"batches_laned", "batches_uncarried", "jobs_custom_id", "jobs_dead"})
"""dropped when all that there should be is there"""


def add_missing_indexes(database: Database) -> list[str]:
    """Make what is missing, one after the other, then drop what is replaced; return the names."""
    with database.read() as connection:
        if not _missing(connection) and not _replaced(connection):
            return []
    if database.dialect == "sqlite":
        with database.write() as connection:
            missing = _missing(connection)
            made = [_make(connection, index) for index in missing]
            for name in _replaced(connection):
                connection.exec_driver_sql(f"drop index {name}")
            # Of an index without statistics SQLite thinks better than of those that it knows, or
            # worse, where that is unique.
            for table in sorted({"jobs", *(str(index.table) for index in missing)}):
                connection.exec_driver_sql(f"analyze {table}")
            return made
    with database.autocommit() as connection:
        connection.exec_driver_sql("set lock_timeout = 0")  # it waits for all who write, once
        # Whoever waits in the server is waited for by the maker, who waits for every snapshot.
        while not connection.exec_driver_sql(f"select pg_try_advisory_lock({_LOCK})").scalar():
            Event().wait(_PAUSE_S)
        try:
            made = [_make_beside_writers(connection, index) for index in _missing(connection)]
            for name in _replaced(connection):
                connection.exec_driver_sql(f"drop index concurrently {name}")
            return made
        finally:
            connection.exec_driver_sql(f"select pg_advisory_unlock({_LOCK})")


def _there(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql(_VALID[connection.dialect.name]).scalars())


def _replaced(connection: Connection) -> list[str]:
    return sorted(_there(connection).intersection(_REPLACED))


def _missing(connection: Connection) -> list[Index]:
    there = _there(connection)
    tables = metadata.sorted_tables
    return [index for table in tables for index in table.indexes if index.name not in there]


def _make(connection: Connection, index: Index) -> str:
    connection.execute(CreateIndex(index))
    return str(index.name)


def _make_beside_writers(connection: Connection, index: Index) -> str:
    # One that was broken off is there, and good for nothing.
    connection.exec_driver_sql(f"drop index concurrently if exists {index.name}")
    index.dialect_options["postgresql"]["concurrently"] = True
    try:
        return _make(connection, index)
    finally:
        index.dialect_options["postgresql"]["concurrently"] = False
