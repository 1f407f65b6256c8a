"""How the cells of a CSV file are divided, told by its first rows."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promptmill.producer.reading.lines import BOM

_DELIMITERS: Final = ",\t;|"
_SEP: Final = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_MOST_ROWS: Final = 200
_AGREEING: Final = 0.8
"""How many of the first rows must have as many cells as the header for a delimiter to be one."""
_LONGEST_NAME: Final = 64
_ENDS_A_SENTENCE: Final = (".", "?", "!", ":")
NAMES: Final = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
"""What people call the delimiters."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to read the cells. Quotes are `"`, and doubled inside quotes, as in RFC 4180."""

    delimiter: str = ","
    skips_space: bool = False
    """whether a space after a delimiter belongs to nobody"""
    has_sep_line: bool = False
    """whether the first line is Excel's `sep=;`"""
    is_told: bool = False
    """whether the text itself shows that it is CSV, whatever its name"""


def find_dialect(head: bytes) -> Dialect | None:
    """Find what divides the cells of the text that begins with *head*; None if nothing does."""
    text = head.removeprefix(BOM).decode("utf-8", "replace")
    if sep := _SEP.match(text):
        return Dialect(sep[1], has_sep_line=True, is_told=True)
    lines = text.splitlines(keepends=True)
    best, best_share = None, 0.0
    for delimiter in _DELIMITERS:
        rows = _rows(lines, delimiter)
        if not rows or len(rows[0]) < 2:
            continue
        share = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        if share > best_share:
            best, best_share = _dialect(delimiter, rows, share, lines[0]), share
    return best


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Read the first rows; of a text that is cut, without its last one."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
            if row:
                rows.append(row)
            if len(rows) > _MOST_ROWS:
                break
    except csv.Error:
        return rows
    return rows if len(rows) == 1 else rows[:-1]


def _dialect(
    delimiter: str, rows: Sequence[Sequence[str]], share: float, first_line: str
) -> Dialect:
    return Dialect(
        delimiter,
        skips_space=all(cell.startswith(" ") for cell in first_line.split(delimiter)[1:]),
        is_told=share >= _AGREEING and _are_names([name.strip() for name in rows[0]]),
    )


def _are_names(header: Sequence[str]) -> bool:
    """Tell whether *header* looks like names of columns, and not like a sentence with commas."""
    return len({*header}) == len(header) and all(map(_is_name, header))


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and not name.endswith(_ENDS_A_SENTENCE)
