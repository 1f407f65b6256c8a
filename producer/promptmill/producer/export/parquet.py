"""Parquet, typed: whole numbers, dollars as doubles, instants in UTC. Needs the extra `parquet`."""

from collections.abc import Sequence
from datetime import datetime
from typing import IO, Any

from promptmill.producer.export.sheet import Rows
from promptmill.schema.errors import UsageError
from promptmill.schema.exporting import COLUMNS, Kind

_GROUP_ROWS = 20_000
_GROUP_TEXT = 8_000_000
"""characters of a row group, which is held in memory until it is written"""


class ParquetTable:
    """Writes row groups of at most 20,000 rows or some 8 MB of text, compressed by zstd."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        schema = arrow_schema(columns)
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415  an extra

        self._columns = columns
        self._writer = ParquetWriter(file, schema, compression="zstd")
        self._rows: list[Sequence[Any]] = []
        self._text = 0

    def write(self, rows: Rows) -> None:
        self._rows += rows
        self._text += sum(len(value) for row in rows for value in row if isinstance(value, str))
        if len(self._rows) >= _GROUP_ROWS or self._text >= _GROUP_TEXT:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(record_batch(self._columns, self._rows))
        self._rows, self._text = [], 0


def import_arrow() -> Any:
    """Import pyarrow. Raises UsageError that says how to install it."""
    try:
        import pyarrow  # noqa: PLC0415  an extra
    except ImportError:
        msg = "Parquet needs pyarrow: pip install 'promptmill[parquet]'"
        raise UsageError(msg) from None
    return pyarrow


def arrow_schema(columns: Sequence[str]) -> Any:
    """Name and type the columns of a table, as pyarrow's Schema."""
    arrow = import_arrow()
    types = {
        Kind.TEXT: arrow.string(),
        Kind.JSON: arrow.string(),
        Kind.WHOLE: arrow.int64(),
        Kind.DOLLARS: arrow.float64(),
        Kind.INSTANT: arrow.timestamp("ms", tz="UTC"),
    }
    return arrow.schema([(name, types[COLUMNS[name].kind]) for name in columns])


def record_batch(columns: Sequence[str], rows: Rows) -> Any:
    """Turn *rows*, at least one, into columns, as pyarrow's RecordBatch."""
    arrow, schema = import_arrow(), arrow_schema(columns)
    arrays = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        instant = COLUMNS[field.name].kind is Kind.INSTANT
        arrays.append(arrow.array(map(_instant, values) if instant else values, field.type))
    return arrow.RecordBatch.from_arrays(arrays, schema=schema)


def _instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
