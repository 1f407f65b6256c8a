"""What statements run on, and what can be read: as little of it as they need.

SQLAlchemy's connections are such, those of a `Database`; and that of a `Glance`, which does without
SQLAlchemy. A file that needs more of one (a savepoint, a stream, the driver's own) takes
SQLAlchemy's.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Dialect(Protocol):
    """Which engine it is."""

    @property
    def name(self) -> str:
        """`sqlite` or `postgresql`."""


class Rows(Protocol):
    """What a statement found or changed."""

    @property
    def rowcount(self) -> int:
        """How many it changed."""

    def __iter__(self) -> Iterator[Any]:
        """Read them, each a sequence in the order of its columns."""


class Connection(Protocol):
    """A connection within a transaction."""

    @property
    def dialect(self) -> Dialect:
        """Which engine is at its other end."""

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Rows:
        """Run *statement*, written as the driver wants it."""

    def get_execution_options(self) -> Mapping[str, Any]:
        """Tell what holds for its statements: `now`, where a clock was injected."""


class Source(Protocol):
    """A database that can be read."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    def read(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that only reads."""
