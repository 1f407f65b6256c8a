"""What every format of an export is: something that takes rows."""

from collections.abc import Sequence
from typing import Any, Protocol

Rows = Sequence[Sequence[Any]]
"""each with a value for each column, as `schema.exporting` reads them"""


class Sheet(Protocol):
    """Writes rows in one format to a file that somebody else opened."""

    def write(self, rows: Rows) -> None:
        """Write *rows*, in their order."""
        ...

    def close(self) -> None:
        """Write what is left. The file stays open."""
        ...
