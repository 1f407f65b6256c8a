"""What this database knows of itself."""

from sqlalchemy import Column, Table, Text

from promptmill.schema.tables.metadata import metadata
from promptmill.schema.types import Instant

# What this database makes up, once, so that nobody outside can guess it.
secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
)

# Each upgrade that was made, by the release that made it.
revisions = Table(
    "revisions",
    metadata,
    Column("revision", Text, primary_key=True),
    # The oldest revision whose release may work on this database.
    Column("works_from", Text, nullable=False),
    # Of triggers and views: a hash of the statements that made them.
    Column("definitions", Text, nullable=False),
    Column("upgraded_at", Instant, nullable=False),
)
