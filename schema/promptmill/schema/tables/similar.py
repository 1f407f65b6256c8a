"""What is known of similar requests (`--cache-similar`)."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import BigKey, Instant

# What was asked, as vectors: a job may take the answer to a request that is similar. Gone with the
# prompts, which a vector tells something of.
similar_entries = Table(
    "similar_entries",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("job_id", BigInteger, nullable=False),
    Column("scope", Text, nullable=False),  # hash of all that must be equal
    Column("vector_base64", Text, nullable=False),  # of length 1, as 16-bit floats
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("job_id"),
)
# a look for what is similar: the entries of a scope that this worker has not read yet
Index("similar_entries_scope", similar_entries.c.scope, similar_entries.c.id)

# Who took the answer to a similar request; it counts while `jobs.twin_of` is the same.
similar_hits = Table(
    "similar_hits",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("twin_of", BigInteger, nullable=False),
    Column("similarity", Double, nullable=False),
    Column("embedder", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
)

# Calls of a provider for vectors, each for texts of one batch. As an attempt, a row is written
# before its call and closed after it, and its cost is the batch's.
embedder_calls = Table(
    "embedder_calls",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("texts", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", SmallInteger, nullable=False, server_default="0"),
    Column("http_status", SmallInteger),
    Column("error_kind", Text),
    Column("error_code", Text),
    Column("error_text", Text),
    Column("request_id", Text),
    Column("latency_ms", Integer),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_micros", BigInteger),
    Column("reserved_micros", BigInteger),  # of a batch with a budget: the most it could cost
    CheckConstraint("outcome between 0 and 5", name="outcome"),
    CheckConstraint("(outcome = 0) = (ended_at is null)", name="ended_at_iff_closed"),
)
# pruning
Index("embedder_calls_batch", embedder_calls.c.batch_id)
# the sweep: calls whose worker is gone; and whether a batch has some open
Index("embedder_calls_open", embedder_calls.c.worker_id, **where("outcome = 0"))
