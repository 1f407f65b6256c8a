"""How much a move touches: rows on PostgreSQL, steps of its virtual machine on SQLite.

Both count what triggers do too, and neither depends on the machine or on what else runs.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from promptmill.schema.database import Database

__all__ = ["touched"]

_EVERY = 10
"""virtual machine instructions a call of the progress handler"""
_ROWS = """
select coalesce(sum(seq_tup_read + idx_tup_fetch + n_tup_ins + n_tup_upd + n_tup_del), 0)
from pg_stat_xact_user_tables"""


def touched(database: Database, act: Callable[[Connection], object]) -> int:
    """Run *act* in a transaction that is undone, and count."""
    count = _steps if database.dialect == "sqlite" else _rows
    with database.write() as connection:
        try:
            return count(connection, act)
        finally:
            connection.rollback()


def _steps(connection: Connection, act: Callable[[Connection], object]) -> int:
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += _EVERY

    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  the connection is open
    driver.set_progress_handler(count, _EVERY)
    try:
        act(connection)
    finally:
        driver.set_progress_handler(None, 0)
    return steps


def _rows(connection: Connection, act: Callable[[Connection], object]) -> int:
    before = connection.exec_driver_sql(_ROWS).scalar_one()
    act(connection)
    return int(connection.exec_driver_sql(_ROWS).scalar_one() - before)
