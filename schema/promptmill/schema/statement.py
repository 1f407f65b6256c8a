"""One SQL text for both engines, with sets of rows as parameters.

A statement is written once. What differs is filled in for the engine:

`{now}`             the server's clock (or the injected one)
`{after:seconds}`   now plus an SQL expression in seconds
`{json:expression}` an SQL text expression as JSON
`{claims}`          a set of rows, as a table to join: binary arrays on PostgreSQL, JSON on SQLite

Single values are bound as `:name`.

Where rows are found by their key, the state is written `+jobs.state`. Without the `+`, PostgreSQL
takes a partial index for the way in whenever its statistics are older than the last wave of moves
(right after a load they know no queued job at all), and reads all of it for each group.

Where the first rows are taken in the order of an index, the statement is `in_order`. Otherwise
PostgreSQL reads all there are, perhaps a million, and sorts them, wherever its statistics expect
about as many as are wanted. Nor may it sort what an index has in a part of the order.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from promptmill.schema.connection import Connection

if TYPE_CHECKING:
    import sqlalchemy


_SORTS = ("enable_sort", "enable_incremental_sort")
_NO_SORTS = "; ".join(f"set local {name} = off" for name in _SORTS)
_SORTS_AGAIN = "; ".join(f"set local {name} to default" for name in _SORTS)


class Column(NamedTuple):
    """A column of a row set: its name, and its type on PostgreSQL."""

    name: str
    type: str

    def array(self, values: Iterable[Any]) -> list[Any]:
        """List *values* for psycopg, which refuses an array of ints and floats together."""
        if self.type != "double precision":
            return list(values)
        return [None if value is None else float(value) for value in values]


class RowSet(msgspec.Struct, frozen=True):
    """The shape of a set of rows that a statement joins."""

    name: str
    columns: tuple[Column, ...]

    def fragment(self, dialect: str) -> str:
        """Write the set as something to select from."""
        if dialect == "sqlite":
            fields = ", ".join(
                f"json_extract(value, '$[{n}]') as {column.name}"
                for n, column in enumerate(self.columns)
            )
            return f"(select {fields} from json_each(:{self.name})) as {self.name}"
        arrays = ", ".join(
            f"%({self.name}_{column.name})b::{column.type}[]" for column in self.columns
        )
        names = ", ".join(column.name for column in self.columns)
        return f"unnest({arrays}) as {self.name}({names})"

    def bind(self, dialect: str, rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
        """Turn *rows*, each in the order of the columns, into parameters."""
        if dialect == "sqlite":
            return {self.name: json.dumps([list(row) for row in rows], ensure_ascii=False)}
        columns = list(zip(*rows, strict=True)) or [() for _ in self.columns]
        return {
            f"{self.name}_{column.name}": column.array(values)
            for column, values in zip(self.columns, columns, strict=True)
        }


class Statement:
    """An SQL statement in our notation.

    *in_order*: an index has the order of each `order by` in it, so nothing is to be sorted.
    """

    def __init__(self, sql: str, *row_sets: RowSet, in_order: bool = False) -> None:
        self._sql = sql
        self._in_order = in_order
        self._row_sets = {row_set.name: row_set for row_set in row_sets}
        self._compiled = cache(self._compile)

    def run(
        self,
        connection: Connection,
        rows: Mapping[str, Iterable[Sequence[Any]]] | None = None,
        **values: Any,
    ) -> int:
        """Run it; return how many rows it changed. *rows* holds the row sets by name."""
        changed: int = self._execute(connection, rows, values).rowcount
        return changed

    def fetch(
        self,
        connection: Connection,
        rows: Mapping[str, Iterable[Sequence[Any]]] | None = None,
        **values: Any,
    ) -> list[Any]:
        """Run it; return the rows it selected, or those it changed and returned."""
        return list(self._execute(connection, rows, values))

    @contextmanager
    def stream(
        self, connection: "sqlalchemy.Connection", *, page: int, **values: Any
    ) -> Iterator["sqlalchemy.CursorResult[Any]"]:
        """Run it for as long as the block lasts; *page* rows at most are read at a time."""
        streaming = connection.execution_options(stream_results=True, max_row_buffer=page)
        with self._execute(streaming, None, values) as found:
            yield found

    def _execute(
        self,
        connection: Connection,
        rows: Mapping[str, Iterable[Sequence[Any]]] | None,
        values: Mapping[str, Any],
    ) -> Any:
        """Run it; return what this kind of connection returns."""
        dialect = connection.dialect.name
        injected = connection.get_execution_options().get("now")
        parameters: dict[str, Any] = dict(values)
        for name, row_set in self._row_sets.items():
            parameters |= row_set.bind(dialect, (rows or {})[name])
        if injected is not None:
            parameters["now"] = injected()
        sql = self._compiled(dialect, injected is not None)
        if not self._in_order or dialect == "sqlite":
            return connection.exec_driver_sql(sql, parameters)
        connection.exec_driver_sql(_NO_SORTS)
        found = connection.exec_driver_sql(sql, parameters)
        connection.exec_driver_sql(_SORTS_AGAIN)
        return found

    def _compile(self, dialect: str, injected: bool) -> str:
        parts = {name: rows.fragment(dialect) for name, rows in self._row_sets.items()}
        sql = self._sql
        if dialect != "sqlite":
            sql = sql.replace("%", "%%")
        now = _Now(dialect, injected)
        sql = sql.format(now=now, after=now, json=_Json(dialect), **parts)
        if dialect == "sqlite":
            return sql
        return re.sub(r"(?<![:\w]):([a-z_]+)", r"%(\1)s", sql)


class _Now:
    """The clock in SQL; with a format spec, that many seconds later."""

    def __init__(self, dialect: str, injected: bool) -> None:
        self._sqlite, self._injected = dialect == "sqlite", injected

    def __format__(self, seconds: str) -> str:
        if self._sqlite:
            base = ":now" if self._injected else "'now'"
            shift = f", ({seconds}) || ' seconds'" if seconds else ""
            return f"strftime('%Y-%m-%dT%H:%M:%fZ', {base}{shift})"
        base = ":now::timestamptz" if self._injected else "statement_timestamp()"
        return f"({base} + ({seconds}) * interval '1 second')" if seconds else base


class _Json:
    """A text as JSON."""

    def __init__(self, dialect: str) -> None:
        self._cast = "" if dialect == "sqlite" else "::json"

    def __format__(self, expression: str) -> str:
        return f"({expression}){self._cast}"
