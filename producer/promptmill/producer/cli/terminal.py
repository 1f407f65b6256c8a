"""A terminal as a file for bytes: what would steer it is taken out."""

from typing import TextIO

from promptmill.producer.inert import for_terminal


class Terminal:
    """Takes whole lines of UTF-8."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, lines: bytes) -> int:
        """Show *lines*, without what steers a terminal."""
        self._terminal.write(for_terminal(lines.decode()))
        return len(lines)

    def flush(self) -> None:
        """Show all that was written."""
        self._terminal.flush()
