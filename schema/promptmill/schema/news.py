"""What there is to announce of a batch."""

from enum import StrEnum
from typing import Final

UNANNOUNCED: Final = "tenant_id is null and (announced is null or announced = 'paused')"
"""Batches whose end was not announced, in SQL. The gateway tells of those of its clients."""


class News(StrEnum):
    """What became of it, as `batches.announced` has it."""

    COMPLETED = "completed"
    """nothing is left to do, though some of it may have failed"""
    CANCELLED = "cancelled"
    PAUSED = "paused"
    NONE = ""
    """it goes on, after a pause"""

    @property
    def event(self) -> str:
        """The type that receivers are told."""
        return f"batch.{self.value}"
