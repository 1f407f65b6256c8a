"""Each try at a job, and what is kept of it beside its figures."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import BigKey, Instant

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("worker_id", Text, nullable=False),
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
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_micros", BigInteger),
    Column("reserved_micros", BigInteger),  # of a batch with a budget: the most it could cost
    Column("first_token_ms", Integer),  # where the answer was streamed
    PrimaryKeyConstraint("job_id", "fence"),
    CheckConstraint("outcome between 0 and 5", name="outcome"),
    CheckConstraint("(outcome = 0) = (ended_at is null)", name="ended_at_iff_closed"),
)
# status: why jobs failed, from the index alone. An answer leaves each of its columns as it was, so
# closing the attempt of one touches no index (PostgreSQL: HOT). Codes have at most 80 characters.
Index(
    "attempts_missed",
    attempts.c.job_id,
    attempts.c.fence,
    attempts.c.error_kind,
    attempts.c.error_code,
    **where("error_kind is not null"),
)

# What came with an attempt that gave no usable answer, kept as bytes for a person to look at.
attempt_bodies = Table(
    "attempt_bodies",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("body_base64", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "fence"),
)

# Prompts that were too long: what was left out of a call, and what its provider said of its length.
truncations = Table(
    "truncations",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("how", Text, nullable=False),
    Column("cut_tokens", BigInteger, nullable=False),
    Column("cut_turns", Integer, nullable=False),
    Column("sent_tokens", BigInteger, nullable=False),  # by our own count, as is what was cut
    Column("refused", SmallInteger, nullable=False),  # 1: it was still too long
    Column("told_tokens", BigInteger),
    Column("told_most", BigInteger),
    PrimaryKeyConstraint("job_id", "fence"),
)

# Responses that OpenAI makes in the background: asked for once, and looked after until they are
# there, whoever asked. Of an earlier generation: no more of interest.
background_responses = Table(
    "background_responses",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("generation", SmallInteger, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
)
