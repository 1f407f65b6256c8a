"""Rows as pyarrow's columns. Needs the extra `parquet`.

They are made of buffers, since `pyarrow.array` imports pandas where that is installed: 60 MB more
than all else that an export holds, and half as slow again.
"""

from array import array
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from promptmill.producer.export.sheet import Rows
from promptmill.schema.errors import UsageError
from promptmill.schema.exporting import COLUMNS, Kind
from promptmill.schema.extras import how_to_install

Buffers = tuple[Any, ...]
"""arrays and bytes, which lend their memory"""


def import_arrow() -> Any:
    """Import pyarrow. Raises UsageError that says how to install it."""
    try:
        import pyarrow  # noqa: PLC0415  an extra
    except ImportError:
        msg = f"Parquet needs pyarrow: {how_to_install('parquet')}"
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
        buffers = (_which_are_there(values), *_BUFFERS[COLUMNS[field.name].kind](values))
        of_arrow = list(map(arrow.py_buffer, buffers))
        arrays.append(arrow.Array.from_buffers(field.type, len(values), of_arrow))
    return arrow.RecordBatch.from_arrays(arrays, schema=schema)


def _which_are_there(values: Sequence[Any]) -> bytes:
    """Set a bit for each value that is not NULL; the first is the lowest of the first byte."""
    bits = "".join("0" if value is None else "1" for value in reversed(values))
    return int(bits, 2).to_bytes((len(values) + 7) // 8, "little")


def _texts(values: Sequence[str | None]) -> Buffers:
    written = [b"" if value is None else value.encode() for value in values]
    return array("i", accumulate(map(len, written), initial=0)), b"".join(written)


def _whole_numbers(values: Sequence[int | None]) -> Buffers:
    return (array("q", [0 if value is None else value for value in values]),)


def _doubles(values: Sequence[float | None]) -> Buffers:
    return (array("d", [0.0 if value is None else value for value in values]),)


def _instants(values: Sequence[str | None]) -> Buffers:
    return _whole_numbers([None if value is None else _milliseconds(value) for value in values])


def _milliseconds(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


_BUFFERS: dict[Kind, Callable[[Sequence[Any]], Buffers]] = {
    Kind.TEXT: _texts,
    Kind.JSON: _texts,
    Kind.WHOLE: _whole_numbers,
    Kind.DOLLARS: _doubles,
    Kind.INSTANT: _instants,
}
