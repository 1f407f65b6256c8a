"""What the command line prints: data to stdout, all else to stderr."""

import re
import sys
from typing import TYPE_CHECKING, Any, Self

import msgspec

from promptmill.schema.errors import PromptmillError

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 100
"""columns of what is not a terminal, and the most that a table takes of one"""
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def console(*, stderr: bool = False) -> "Console":
    """Make a console for data, or for notes (*stderr*). Nothing that it prints is markup."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = _WIDTH
    return made


def note(text: str) -> None:
    """Tell a person something that is no data."""
    print(plain(text), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print one object on one line."""
    line = msgspec.json.encode(value, enc_hook=str)
    sys.stdout.write(line.decode() + "\n")


def plain(text: str) -> str:
    """Take out what steers a terminal: an answer must not move the cursor or hide text."""
    return _CONTROL.sub("", text)


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

    def show(self, done: int, total: int) -> None:
        """Show that *done* of *total* are done."""
        self._bar.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
