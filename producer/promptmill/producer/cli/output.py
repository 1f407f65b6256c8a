"""What the command line prints: data to stdout, all else to stderr."""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import msgspec

from promptmill.producer.cli.plain_table import plain_lines
from promptmill.producer.inert import for_terminal
from promptmill.schema.errors import PromptmillError

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""columns of what is not a terminal"""
_LONGEST_CELL = 300
_NULL = "NULL"
plain = for_terminal


def console(*, stderr: bool = False) -> "Console":
    """Make a console for data, or for notes (*stderr*). Nothing that it prints is markup."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def note(text: str) -> None:
    """Tell a person something that is no data."""
    print(plain(text), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print one object on one line."""
    print(as_json_line(value))


def as_json_line(value: Any) -> str:
    """Write one object as standard output gets it: a terminal is not steered by it."""
    line = msgspec.json.encode(value, enc_hook=_for_json).decode()
    return plain(line) if sys.stdout.isatty() else line


def print_line(*values: Any) -> None:
    """Print *values* as cells of a table have them, without waiting for further lines."""
    print(*map(_cell, values), sep="  ", flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Draw a table of all *rows*; numbers are put to the right, long texts are cut."""
    names = [plain(name) for name in columns]
    cells = [[_cell(value) for value in row] for row in rows]
    kept = [[cell for cell in column if cell != _NULL] for column in zip(*cells, strict=True)]
    numbers = [
        bool(column) and all(map(_NUMBER.fullmatch, column))
        for column in kept or [[] for _ in names]
    ]
    if not sys.stdout.isatty():
        lines = plain_lines(names, cells, to_the_right=numbers, width=WIDTH)
        if lines is not None:
            print(*lines, sep="\n")
            return
    draw(names, cells, to_the_right=numbers)


def draw(
    names: Sequence[str], cells: Sequence[Sequence[str]], *, to_the_right: Sequence[bool]
) -> None:
    """Let rich draw a table: bold and dim where that can be seen, folded where it is too wide."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, is_number in zip(names, to_the_right, strict=True):
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style="dim" if cell == _NULL else "") for cell in row))
    console().print(table)


def money(micros: int, unpriced_calls: int = 0) -> str:
    """Write a cost; `+ ?` where calls have no known price."""
    return f"${micros / 1e6:,.4f}" + (" + ?" if unpriced_calls else "")


def in_digits(number: float | str) -> str:
    """Write a number without an exponent: 0.000024, not 2.4e-05."""
    return f"{Decimal(str(number)):f}"


def moment(instant: datetime | str) -> str:
    """Write an instant to the second, in UTC."""
    known = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{known.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def fail(error: PromptmillError) -> int:
    """Tell of *error* without a traceback; return the exit code."""
    note(f"error: {error}")
    return error.exit_code


class Counter:
    """Counts on stderr while its block lasts, where that is a terminal."""

    def __init__(self, what: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(what, total=None)

    def show(self, done: int, total: int | None) -> None:
        """Show that *done* of *total*, where that is known, are done."""
        self._bar.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


_NUMBER = re.compile(r"[-$]?\d[\d,.]*([kMG%]| m?s| \+ \?)?|-")


def _cell(value: Any) -> str:
    if value is None:
        return _NULL
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, float | Decimal):
        value = in_digits(f"{float(value):.10g}")  # a sum of cents is not 0.30000000000000004
    text = " ".join(plain(str(value)).split())
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def _for_json(value: Any) -> Any:
    """Write what msgspec does not know, such as a secret, by what it shows of itself."""
    return str(value)
