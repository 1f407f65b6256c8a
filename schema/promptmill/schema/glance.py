"""A look at the database by its driver alone, for a command that answers and ends.

To import SQLAlchemy, and to let it meet a server, takes a third of the CPU of such a command. The
statements are the same, and so is what a session may do.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from promptmill.schema.connection import Connection, Rows
from promptmill.schema.errors import ServiceError
from promptmill.schema.failure import failure, unopened
from promptmill.schema.sessions import (
    CACHE_BYTES,
    CLIENTS_SHARE,
    SQLITE_PRAGMAS,
    SQLITE_READS_ONLY,
    SQLITE_WAITS_S,
    postgresql_options,
)
from promptmill.schema.settings import Settings

_NAMING = ("user", "host", "port", "dbname")
"""libpq's words that name a database, and no secret"""


class Glance:
    """One connection that only reads, made when it is first needed. For one thread."""

    def __init__(
        self, dialect: str, connect: Callable[[], Any], *, file: str | None = None
    ) -> None:
        self.dialect = dialect
        self._connect = connect
        self._file = file
        self._driver: Any = None

    @classmethod
    def from_settings(cls, settings: Settings, *, patience_s: float) -> "Glance | None":
        """Prepare to read what *settings* name; None: SQLAlchemy opens it, or says what is wrong.

        *patience_s*: how long a statement of PostgreSQL may take.
        """
        scheme, _, rest = settings.sql_url.partition("://")
        if scheme == "sqlite":
            path = unquote(rest.removeprefix("/"))
            usual = rest.startswith("/") and "?" not in rest and path not in ("", ":memory:")
            return cls("sqlite", partial(_open_file, path), file=path) if usual else None
        told = _libpqs_words(rest) if scheme.partition("+")[0] == "postgresql" else None
        if told is None:
            return None
        if (password := settings.database_password) and not told.get("password"):
            told["password"] = password.reveal()
        return cls("postgresql", partial(_log_in, told, patience_s))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction that only reads. Raises ServiceError where SQL fails in it."""
        if self._driver is None:
            self._driver = self._connect()
        try:
            self._driver.execute("begin")
            yield _Look(_Dialect(self.dialect), self._driver)
        except self._driver.Error as error:
            msg = failure(_first_line(error), self._file)
            raise ServiceError(msg) from None
        finally:
            with suppress(self._driver.Error):
                self._driver.rollback()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._driver is not None:
            self._driver.close()


class _Dialect(NamedTuple):
    name: str


class _Look:
    """A connection within a transaction."""

    def __init__(self, dialect: _Dialect, driver: Any) -> None:
        self.dialect = dialect
        self._driver = driver

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Rows:
        found: Rows = self._driver.execute(statement, parameters or ())
        return found

    def get_execution_options(self) -> Mapping[str, Any]:
        return {}


def _libpqs_words(rest: str) -> dict[str, Any] | None:
    """Read a URL from its user on; None: only SQLAlchemy understands it, or nobody does."""
    names = [name for name, _ in parse_qsl(rest.partition("?")[2])]
    if len(names) > len(set(names)):
        return None  # `host` of each of several servers
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415  an extra
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    try:
        return dict(conninfo_to_dict(f"postgresql://{rest}"))
    except ProgrammingError:
        return None


def _open_file(path: str) -> Any:
    import sqlite3  # noqa: PLC0415  not where the database is another

    try:
        driver = sqlite3.connect(path, isolation_level=None, timeout=SQLITE_WAITS_S)
        for pragma in (*SQLITE_PRAGMAS, SQLITE_READS_ONLY):
            driver.execute(pragma)
        driver.execute(f"pragma cache_size = -{CACHE_BYTES >> 10}")
    except sqlite3.Error as error:
        msg = failure(_first_line(error), path)
        raise ServiceError(msg) from None
    return driver


def _log_in(told: Mapping[str, Any], patience_s: float) -> Any:
    from psycopg import Error  # noqa: PLC0415  an extra

    from promptmill.schema.deadline import connect_within  # noqa: PLC0415  it imports psycopg

    asked = postgresql_options(told, patience_s)
    asked["options"] += " -c default_transaction_read_only=on"
    try:
        return connect_within(patience_s * CLIENTS_SHARE, autocommit=True, **{**told, **asked})
    except Error as error:
        where = " ".join(f"{name}={told[name]}" for name in _NAMING if name in told)
        raise ServiceError(unopened(where, _first_line(error))) from None


def _first_line(error: Exception) -> str:
    """Return what the database said, without the lines after it that may quote rows."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
