"""CSV, as RFC 4180 has it, whose cells a spreadsheet takes for text and never for a formula.

An answer that begins with `=` would be computed by whoever opens the file, and can send away what
stands in other cells. A cell that begins as a formula does gets a `'` before it.
"""

import csv
import io
from collections.abc import Sequence
from typing import IO, Any

from promptmill.producer.export.sheet import Rows
from promptmill.producer.inert import for_csv
from promptmill.schema.exporting import COLUMNS, Kind


class CsvSheet:
    """Writes a line of names, then a line a row; nothing where there is no value."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], *, formulas: bool) -> None:
        self._file, self._formulas = file, formulas
        self._texts = [n for n, name in enumerate(columns) if COLUMNS[name].kind is Kind.TEXT]
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Rows) -> None:
        self._writer.writerows(rows if self._formulas else map(self._inert, rows))
        self._flush()

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()

    def _inert(self, row: Sequence[Any]) -> Sequence[Any]:
        """Make each text of *row* one that no spreadsheet computes."""
        for n in self._texts:
            # For speed: nearly all texts begin with a letter or a digit, and so no formula.
            if row[n] is not None and not row[n][:1].isalnum():
                return [for_csv(value) if isinstance(value, str) else value for value in row]
        return row
