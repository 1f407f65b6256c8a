"""`promptmill sql`: ask the database, read-only."""

import csv
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any

from promptmill.producer.cli import output
from promptmill.producer.inert import for_csv, for_terminal
from promptmill.producer.opening import opened
from promptmill.schema.database import Database, DatabaseError, first_line
from promptmill.schema.errors import ServiceError, UsageError
from promptmill.schema.reading import query
from promptmill.schema.settings import load_settings

_MOST_ROWS = 500
"""of a table on a terminal"""
_LONGEST_S = 3600.0
"""for what a person asks, who can press Ctrl-C"""
_VIEWS = (
    "promptmill_results, _tool_calls, _failures, _attempts, _batches, _usage_by_model,"
    " _usage_by_hour and _latency_by_model"
)


def ask(statement: str, *, as_csv: bool, as_json: bool, formulas: bool) -> None:
    """Print what *statement* selects; `-` is standard input."""
    if as_csv and as_json:
        msg = "--csv and --json: leave one out"
        raise UsageError(msg)
    if statement == "-":
        statement = sys.stdin.read()
    with opened(load_settings(), patience_s=_LONGEST_S) as database, _ended_by_ctrl_c(database):
        if as_json:
            _print_json(database, statement)
        elif as_csv or not sys.stdout.isatty():
            _print_csv(database, statement, formulas=formulas)
        else:
            print_table(database, statement)


def print_table(database: Database, statement: str) -> None:
    """Print what *statement* selects as a table, up to 500 rows. Raises UsageError."""
    with _asked(database, statement) as (columns, rows):
        output.print_table(columns, islice(rows, _MOST_ROWS))
        if next(iter(rows), None) is not None:
            output.note(f"the first {_MOST_ROWS} rows; --csv and --json give all of them")


@contextmanager
def _ended_by_ctrl_c(database: Database) -> Iterator[None]:
    """Let Ctrl-C end this process at once where SQLite is asked: it may look for a row for ever.

    Python would hear of it between two rows only. PostgreSQL is told to stop by its driver.
    """
    if database.dialect != "sqlite":
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _asked(
    database: Database, statement: str
) -> Iterator[tuple[Sequence[str], Iterable[Sequence[Any]]]]:
    try:
        yield from query(database, statement)
    except DatabaseError as error:
        if error.connection_invalidated:
            msg = f"the connection was lost: {first_line(error)}"
            raise ServiceError(msg) from None
        msg = (
            f"the database refuses this statement: {first_line(error)}\n"
            f"  it must be one select; the views to ask are {_VIEWS}"
        )
        raise UsageError(msg) from None


def _print_csv(database: Database, statement: str, *, formulas: bool) -> None:
    with _asked(database, statement) as (columns, rows):
        written = csv.writer(sys.stdout, lineterminator="\n")
        written.writerow(columns)
        for row in rows:
            written.writerow([_cell(value, formulas=formulas) for value in row])


def _cell(value: Any, *, formulas: bool) -> Any:
    if isinstance(value, float):
        return output.in_digits(value)
    if not isinstance(value, str):
        return value
    text = for_terminal(value) if sys.stdout.isatty() else value
    return text if formulas else for_csv(text)


def _print_json(database: Database, statement: str) -> None:
    with _asked(database, statement) as (columns, rows):
        for row in rows:
            values = (float(one) if isinstance(one, Decimal) else one for one in row)
            output.print_json(dict(zip(columns, values, strict=True)))
