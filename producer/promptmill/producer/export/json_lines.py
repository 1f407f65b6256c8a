"""JSON Lines: one object a prompt. Text is kept exactly; what steers a terminal is escaped."""

from collections.abc import Sequence
from typing import IO, Any

import msgspec

from promptmill.producer.export.sheet import Rows
from promptmill.schema.exporting import COLUMNS, Kind


class JsonLines:
    """Writes each row as an object of its columns, `null` where there is no value."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._file = file
        self._line = msgspec.defstruct("Line", [(name, Any) for name in columns])
        self._json = [n for n, name in enumerate(columns) if COLUMNS[name].kind is Kind.JSON]
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Rows) -> None:
        line = self._line
        lines = (
            [line(*self._with_json(row)) for row in rows]
            if self._json
            else [line(*row) for row in rows]
        )
        self._file.write(self._encoder.encode_lines(lines))

    def close(self) -> None:
        """Nothing is left to write."""

    def _with_json(self, row: Sequence[Any]) -> Sequence[Any]:
        """Put what is JSON already in as it is."""
        if all(row[n] is None for n in self._json):
            return row
        values = list(row)
        for n in self._json:
            if values[n] is not None:
                values[n] = msgspec.Raw(values[n].encode())
        return values
