"""Counters and rollups, which triggers keep."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import Instant

batch_counts = Table(
    "batch_counts",
    metadata,
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("jobs", BigInteger, nullable=False),
    PrimaryKeyConstraint("batch_id", "provider", "model", "state"),
)

# What a batch that has, or had, a budget has used of it. Kept by the claim and by triggers.
batch_spending = Table(
    "batch_spending",
    metadata,
    Column("batch_id", BigInteger, primary_key=True, autoincrement=False),
    Column("spent_micros", BigInteger, nullable=False, server_default="0"),
    # for calls that are open
    Column("reserved_micros", BigInteger, nullable=False, server_default="0"),
    # kept for calls that ended, and nobody knows what they cost
    Column("unknown_micros", BigInteger, nullable=False, server_default="0"),
    # the least that a call needed which did not fit; NULL: none since
    Column("wanted_micros", BigInteger),
)

# dispatch: which budgets had no room for a call
Index(
    "batch_spending_short",
    batch_spending.c.wanted_micros,
    **where("wanted_micros is not null"),
)

# What those batches of a tenant have used that are `carried`; see moves/carrying.
tenant_spending = Table(
    "tenant_spending",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("carried_micros", BigInteger, nullable=False, server_default="0"),
)

usage_hourly = Table(
    "usage_hourly",
    metadata,
    Column("hour_at", Instant, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("error_kind", Text, nullable=False),  # '' where there was no error
    Column("calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour_at", "batch_id", "provider", "model", "outcome", "error_kind"),
)
# status, announcing, and a budget that is given later: what one batch has used
Index("usage_hourly_of_batch", usage_hourly.c.batch_id)

latency_daily = Table(
    "latency_daily",
    metadata,
    Column("batch_id", BigInteger, nullable=False),
    Column("day_at", Instant, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("latency_ms", Integer, nullable=False),  # rounded down to two significant digits
    Column("calls", BigInteger, nullable=False),
    PrimaryKeyConstraint("batch_id", "day_at", "provider", "model", "latency_ms"),
)

# The same of the first token of streamed answers.
first_token_daily = Table(
    "first_token_daily",
    metadata,
    Column("batch_id", BigInteger, nullable=False),
    Column("day_at", Instant, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("first_token_ms", Integer, nullable=False),  # rounded down to two significant digits
    Column("calls", BigInteger, nullable=False),
    PrimaryKeyConstraint("batch_id", "day_at", "provider", "model", "first_token_ms"),
)
