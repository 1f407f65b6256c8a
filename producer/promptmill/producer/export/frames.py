"""A batch in memory, as people's tools for tables take it: pandas, or anything that reads Arrow."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from promptmill.producer.export.arrow import arrow_schema, import_arrow, record_batch
from promptmill.producer.export.export import STATES, What, check_columns
from promptmill.producer.export.sheet import Rows
from promptmill.producer.watching.progress import read_progress
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.exporting import COLUMNS, Kind, Selection, export_rows, one_moment
from promptmill.schema.extras import how_to_install


def to_arrow(database: Database, batch_id: int, what: What, columns: tuple[str, ...]) -> Any:
    """Read a batch into a pyarrow Table. Raises UsageError without pyarrow."""
    arrow, schema = import_arrow(), arrow_schema(check_columns(columns))
    batches = [record_batch(columns, rows) for rows in _pages(database, batch_id, what, columns)]
    return arrow.Table.from_batches(batches, schema=schema)


def to_pandas(database: Database, batch_id: int, what: What, columns: tuple[str, ...]) -> Any:
    """Read a batch into a DataFrame: whole numbers as Int64, so that NULL is no float.

    Raises UsageError without pandas.
    """
    read: dict[str, list[Any]] = {name: [] for name in check_columns(columns)}
    try:
        import pandas  # noqa: PLC0415  optional
    except ImportError:
        msg = f"to_pandas needs pandas: {how_to_install('pandas')}; export goes without it"
        raise UsageError(msg) from None
    for rows in _pages(database, batch_id, what, columns):
        for name, values in zip(columns, zip(*rows, strict=True), strict=True):
            read[name] += values
    return pandas.DataFrame({name: _series(pandas, name, values) for name, values in read.items()})


def _pages(
    database: Database, batch_id: int, what: What, columns: tuple[str, ...]
) -> Iterator[Rows]:
    read_progress(database, batch_id)
    with one_moment(database) as connection:
        yield from export_rows(connection, Selection(batch_id, STATES[what], columns))


def _series(pandas: Any, name: str, values: Sequence[Any]) -> Any:
    match COLUMNS[name].kind:
        case Kind.WHOLE:
            return pandas.array(values, dtype="Int64")
        case Kind.DOLLARS:
            return pandas.array(values, dtype="Float64")
        case Kind.INSTANT:
            instants = [value and datetime.fromisoformat(value) for value in values]
            return pandas.to_datetime(instants, utc=True)
        case _:
            return pandas.Series(values, dtype="str")
