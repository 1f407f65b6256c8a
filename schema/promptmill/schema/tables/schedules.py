"""What is submitted again and again, by the clock."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import BigKey, Instant, JsonText

schedules = Table(
    "schedules",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("arguments", JsonText, nullable=False),  # of `promptmill submit`, by their names
    Column("overlap", Text, nullable=False),  # what to do while the batch before is open
    Column("made_at", Instant, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("paused_at", Instant),
    # Who submits the batch of this time: see `schedules`.
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("leased_until", Instant),
    # What came of the time before.
    Column("last_at", Instant),
    Column("outcome", Text),
    Column("problem", Text),
    Column("batch_id", BigInteger),  # the last one that was submitted
    UniqueConstraint("name"),
    CheckConstraint("overlap in ('skip', 'allow')", name="overlap"),
    CheckConstraint("outcome in ('submitted', 'skipped', 'failed')", name="outcome"),
)
# the clockwork: what is due
Index("schedules_due", schedules.c.next_at, **where("paused_at is null"))
