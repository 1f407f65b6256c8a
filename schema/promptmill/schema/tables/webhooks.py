"""Who is to hear of what became of a batch."""

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
from promptmill.schema.types import BigKey, Instant

# One piece of news for one address. It is sent until somebody takes it, or for three days.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # by which receivers know a repeat: msg_...
    Column(
        "subject", Text, nullable=False
    ),  # number of the batch, or the id of a client's: batch_...
    Column("tenant_id", BigInteger),  # whose secret signs it; NULL: that of the settings
    Column("event", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),  # as it is signed, each time the same
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("due_at", Instant, nullable=False),
    Column("leased_until", Instant),  # one that is being sent, or was without being taken
    Column("answer", Text),  # to the last attempt: an HTTP status, or why there was none
    Column("made_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("id"),
    CheckConstraint("state in ('pending', 'delivered', 'failed', 'gone')", name="state"),
    CheckConstraint("(state = 'pending') = (ended_at is null)", name="ended_at_iff_ended"),
)
# the courier: what is due, one for each address
Index(
    "webhook_deliveries_due",
    webhook_deliveries.c.url,
    webhook_deliveries.c.no,
    **where("state = 'pending'"),
)
# announcing: what the address said last
Index("webhook_deliveries_ended", webhook_deliveries.c.url, webhook_deliveries.c.ended_at)
