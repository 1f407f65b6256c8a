"""Parquet, read by pyarrow (the extra `parquet`) some rows at a time."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.rows import Rows
from promptmill.producer.reading.source import Input
from promptmill.schema.errors import InputError, UsageError
from promptmill.schema.extras import how_to_install

_BATCH_ROWS: Final = 256
_BUFFER_BYTES: Final = 1 << 20
_SHOWN: Final = 121


class ParquetRows:
    """Rows of typed cells. What JSON has no word for is written as text: dates by ISO 8601."""

    described = "Parquet"
    only_for = None

    def __init__(self, options: ReadOptions) -> None:
        self._options, self._rows = options, Rows(options)

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        for number, row in enumerate(_rows(source), 1):
            line = Line(source.name, number, b"", "row")
            try:
                prompt = self._rows.prompt(line, {name: _plain(row[name]) for name in row})
                self._refuse_large(line, prompt)
            except InputError as error:
                yield _with_value(error, row)
            else:
                yield prompt
        for _ in source.raw_chunks():  # the other formats notice in passing that a file changed
            pass

    def _refuse_large(self, line: Line, prompt: Prompt) -> None:
        most = self._options.max_line_bytes
        if len(prompt.body) > most:
            raise line.refused(
                problem=f"the prompt is longer than {most:,} bytes",
                fix="give large documents in parts",
            )


def _rows(source: Input) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow  # noqa: PLC0415  40 MB that most installations do without
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        msg = (
            f"{source.name} is Parquet, and pyarrow, which reads it, is not installed:"
            f" {how_to_install('parquet')}, or write the rows as CSV or JSONL"
        )
        raise UsageError(msg) from None
    try:
        # Without these it would read whole column chunks ahead: all of a file of one row group.
        with parquet.ParquetFile(source.path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            _refuse_twins(source, file.schema_arrow.names)
            for batch in file.iter_batches(_BATCH_ROWS):
                yield from _in_microseconds(batch).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise source.refused(
            problem="the Parquet file is damaged, or of a kind that pyarrow does not read",
            fix="make or fetch it again",
            value=str(error).splitlines()[0],
        ) from None


def _in_microseconds(batch: Any) -> Any:
    """Cut nanoseconds off instants: Python has none."""
    from pyarrow import timestamp  # noqa: PLC0415  as above

    for at, field in enumerate(batch.schema):
        if getattr(field.type, "unit", None) == "ns" and hasattr(field.type, "tz"):
            instants = batch.column(at).cast(timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(at, field.name, instants)
    return batch


def _refuse_twins(source: Input, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise source.refused(
                problem=f"{count} columns are named {name[:60]!r}",
                fix="give each a name of its own",
            )


def _plain(value: Any) -> Any:
    """Turn a cell into what a JSON row could hold. NaN is null, as pandas means it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return None if math.isnan(value) else value
        case bytes():
            return _text(value)
        case date() | datetime() | time():
            return value.isoformat()
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Decimal() | timedelta():
            return str(value)
        case _:
            return str(value)


def _text(value: bytes) -> Any:
    """Read bytes as text, which older writers mean by them; what is none stays bytes."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _with_value(error: InputError, row: dict[str, Any]) -> InputError:
    """Show the row, where the error shows nothing: there is no line to show."""
    if error.value:
        return error
    return InputError(
        error.problem,
        file=error.file,
        line=error.line,
        value=str(row)[:_SHOWN],
        fix=error.fix,
        unit=error.unit,
    )
