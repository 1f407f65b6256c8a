"""Engines and transactions for SQLite and PostgreSQL.

SQLite: WAL with synchronous=FULL (a result that is lost at a power failure is money), writers
begin IMMEDIATE (a read that turns into a write cannot wait for a lock), readers read only.

PostgreSQL: commits are durable also where the server's default is `synchronous_commit = off`, and
a server that is gone is noticed in seconds.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from promptmill.schema.errors import ServiceError, SettingsError
from promptmill.schema.failure import failure, unopened
from promptmill.schema.private import private_file, private_folder
from promptmill.schema.sessions import (
    CACHE_BYTES,
    CLIENTS_SHARE,
    SQLITE_PRAGMAS,
    SQLITE_READS_ONLY,
    SQLITE_WAITS_S,
    postgresql_options,
)
from promptmill.schema.settings import Settings

__all__ = [
    "CACHE_BYTES",
    "SERVICE_PATIENCE_S",
    "Connection",
    "Database",
    "DatabaseError",
    "first_line",
    "is_held_by_others",
    "is_passing",
]

DatabaseError = DBAPIError
"""What a statement raises when SQL refuses it or cannot be reached."""

SERVICE_PATIENCE_S = 15.0
"""of a process that nobody watches, whose statements take milliseconds"""
_TRANSACTION_STATE = "25"
"""PostgreSQL's class of errors for a transaction that was ended for standing idle (this process was
suspended), or may only read (the server became a standby)"""
_TOO_MUCH = "54"
"""PostgreSQL's class of errors for what no server takes: a statement too deep, a row too large"""
_LOCKED = ("55P03", "40P01")
"""PostgreSQL's lock_not_available and deadlock_detected"""
_SQLITE_BUSY = 5
_LOOK_AGAIN_S = 0.001
_SQLITE_ERROR = 1
"""SQLite's code for what is wrong with the statement or with the rows in it"""
_DURABLE = """
select set_config('synchronous_commit', 'on', false)
where current_setting('synchronous_commit') = 'off'"""


class Database:
    """One database, with its pools of connections. Safe to share between threads, not over fork.

    *patience_s*: how long a statement of PostgreSQL may take. Without it, as long as it takes.
    *cache_bytes*: of pages, each connection to SQLite keeps so many at most.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        pool_size: int = 5,
        patience_s: float | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.url = _checked(url, password)
        self._cache_bytes = cache_bytes
        self.dialect = self.url.get_backend_name()
        self._injected_now: Callable[[], Any] | None = None
        if self.dialect == "sqlite":
            self._writer = self._sqlite_engine("begin immediate", pool_size)
            self._reader = self._sqlite_engine("begin", pool_size)
        else:
            self._writer = self._reader = _postgresql_engine(self.url, pool_size, patience_s)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        pool_size: int = 5,
        patience_s: float | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> "Database":
        """Open the database that *settings* name; nothing is connected yet."""
        password = settings.database_password.reveal() if settings.database_password else None
        return cls(
            settings.sql_url,
            password=password,
            pool_size=pool_size,
            patience_s=patience_s,
            cache_bytes=cache_bytes,
        )

    def inject_clock(self, now: Callable[[], Any]) -> None:
        """Take the time from *now* in place of the server's clock, in every later transaction."""
        self._injected_now = now

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begin a transaction that writes; commit at the end, roll back on an error."""
        with self._transaction(self._writer) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction that only reads."""
        with self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Run statements that refuse to be in a transaction. Its connection is not used again."""
        connection = self._writer.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection
        finally:
            connection.invalidate()
            connection.close()

    @property
    def file(self) -> str | None:
        """Name its file, where it is SQLite's."""
        return self.url.database if self.dialect == "sqlite" else None

    def close(self) -> None:
        """Close all pooled connections."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        try:
            connection = engine.connect()
        except OperationalError as error:
            said = first_line(error)
            is_server = self.file is None
            msg = unopened(repr(self.url), said) if is_server else failure(said, self.file)
            raise ServiceError(msg) from None
        with connection:
            if self._injected_now is not None:
                connection = connection.execution_options(now=self._injected_now)
            with connection.begin():
                yield connection

    def _sqlite_engine(self, begin: str, pool_size: int) -> Engine:
        if self.url.database and self.url.database != ":memory:":
            path = Path(self.url.database)
            private_folder(path.parent)
            private_file(path)  # the write-ahead log takes its mode
        engine = create_engine(
            self.url,
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=50,
            connect_args={
                "isolation_level": None,
                "check_same_thread": False,
                "timeout": SQLITE_WAITS_S,
            },
        )

        @event.listens_for(engine, "connect")
        def set_pragmas(dbapi_connection: Any, _record: object) -> None:
            if dbapi_connection.execute("pragma page_count").fetchone()[0] == 0:
                # Said later it would wait for a writer, and do nothing.
                dbapi_connection.execute("pragma auto_vacuum = incremental")
            for pragma in SQLITE_PRAGMAS:
                dbapi_connection.execute(pragma)
            dbapi_connection.execute(f"pragma cache_size = -{self._cache_bytes >> 10}")
            if begin == "begin":
                dbapi_connection.execute(SQLITE_READS_ONLY)

        @event.listens_for(engine, "begin")
        def begin_transaction(connection: Connection) -> None:
            if begin == "begin":
                connection.exec_driver_sql(begin)
            else:
                _begin_writing(connection, begin)

        return engine


def _begin_writing(connection: Connection, begin: str) -> None:
    """Begin as soon as nobody else writes.

    SQLite itself looks again after ever longer pauses, of up to 100 ms: two busy processes slept
    while neither wrote.
    """
    sqlite: Any = connection.connection.dbapi_connection
    until = monotonic() + SQLITE_WAITS_S
    sqlite.execute("pragma busy_timeout = 0")
    try:
        while monotonic() < until:
            try:
                sqlite.execute(begin)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != _SQLITE_BUSY:
                    break
                Event().wait(_LOOK_AGAIN_S)
            else:
                return
        connection.exec_driver_sql(begin)  # fails in the words of SQLAlchemy
    finally:
        sqlite.execute(f"pragma busy_timeout = {SQLITE_WAITS_S * 1000}")


def _postgresql_engine(url: Any, pool_size: int, patience_s: float | None) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=50,
        connect_args=postgresql_options(url.query, patience_s),
    )

    @event.listens_for(engine, "connect")
    def commit_durably(connection: Any, _record: object) -> None:
        connection.autocommit = True  # or the setting would end with a transaction
        connection.execute(_DURABLE)
        connection.autocommit = False

    if patience_s is not None:
        from promptmill.schema.deadline import connect_within  # noqa: PLC0415  psycopg is an extra

        @event.listens_for(engine, "do_connect")
        def connect(_dialect: Any, _record: object, cargs: Any, cparams: Any) -> Any:
            return connect_within(patience_s * CLIENTS_SHARE, *cargs, **cparams)

    return engine


def _checked(url: str, password: str | None) -> Any:
    try:
        parsed = make_url(url)
    except Exception as error:
        msg = (
            "PROMPTMILL_DATABASE_URL, or DATABASE_URL, is not a database URL: write"
            " sqlite:///path or postgresql://user@host/db"
        )
        raise SettingsError(msg) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        msg = (
            f"PROMPTMILL_DATABASE_URL, or DATABASE_URL, begins with {parsed.get_backend_name()!r},"
            " which is not supported: write sqlite:/// or postgresql://"
        )
        raise SettingsError(msg)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        if password and not parsed.password:
            parsed = parsed.set(password=password)
    return parsed


def _sqlstate(error: Exception) -> str:
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def first_line(error: DBAPIError) -> str:
    """Return what the database said, without the lines after it that may quote rows."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def is_held_by_others(error: DBAPIError) -> bool:
    """Tell that others have a lock on what was wanted: a time-out of waiting, or a deadlock."""
    busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == _SQLITE_BUSY
    return busy or _sqlstate(error) in _LOCKED


def is_passing(error: Exception) -> bool:
    """Tell a fault that goes away by itself (no connection, a lock, a deadlock) from a refusal."""
    if isinstance(error, ServiceError):
        return True
    if _sqlstate(error).startswith(_TRANSACTION_STATE):
        return True
    if not isinstance(error, OperationalError):
        return False
    # SQLite's second byte is a detail.
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code != _SQLITE_ERROR and not _sqlstate(error).startswith(_TOO_MUCH)
