"""CSV, as RFC 4180 has it, whose cells a spreadsheet takes for text and never for a formula.

An answer that begins with `=` would be computed by whoever opens the file, and can send away what
stands in other cells. A cell that begins as a formula does gets a `'` before it.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import IO, Any

from promptmill.producer.export.sheet import Rows
from promptmill.producer.inert import for_csv


class CsvSheet:
    """Writes a line of names, then a line a row; nothing where there is no value."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], *, formulas: bool) -> None:
        self._file, self._formulas = file, formulas
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Rows) -> None:
        self._writer.writerows(rows if self._formulas else map(inert, rows))
        self._flush()

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


def inert(row: Iterable[Any]) -> list[Any]:
    """Make each text of *row* one that no spreadsheet computes."""
    return [
        # The first test is for speed: nearly all texts begin with a letter or a digit.
        for_csv(value) if isinstance(value, str) and not value[:1].isalnum() else value
        for value in row
    ]
