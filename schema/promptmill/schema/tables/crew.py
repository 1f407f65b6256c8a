"""Who works, who leads, and what all of them are told: pauses and limits."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from promptmill.schema.tables.metadata import metadata
from promptmill.schema.types import Instant, JsonText

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID for each start of a process
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("keys", JsonText, nullable=False),  # {"openai": fingerprint of its key, or ""}
    Column("concurrency", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("beat", BigInteger, nullable=False, server_default="0"),
    Column("beat_at", Instant, nullable=False),
    Column("in_hand", JsonText, nullable=False),  # [job_id, …]: hints taken and not yet claimed
    Column("stopped_at", Instant),
)

leaders = Table(
    "leaders",
    metadata,
    Column("role", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("beat", BigInteger, nullable=False, server_default="0"),
    Column("taken_at", Instant, nullable=False),
)

pauses = Table(
    "pauses",
    metadata,
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # '' for all models
    Column("fingerprint", Text, nullable=False),  # of the key; '' for all keys, or for none
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at", Instant, nullable=False),
    Column("until_at", Instant),  # NULL: until told
    PrimaryKeyConstraint("provider", "model", "fingerprint"),
)

# What a person set live, in place of the settings.
limits = Table(
    "limits",
    metadata,
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # '' for each model, '*' for the account as a whole
    Column("dimension", Text, nullable=False),
    Column("ceiling", Double, nullable=False),
    Column("set_at", Instant, nullable=False),
    PrimaryKeyConstraint("provider", "model", "dimension"),
    CheckConstraint("ceiling > 0", name="ceiling"),
)
