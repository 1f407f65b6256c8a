"""Calls of a provider for the vectors of requests."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.create_table(
        "embedder_calls",
        sa.Column("id", BigKey, primary_key=True, autoincrement=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("texts", sa.Integer(), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("ended_at", Instant, nullable=True),
        sa.Column("outcome", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("outcome between 0 and 5", name=op.f("ck_embedder_calls_outcome")),
        sa.CheckConstraint(
            "(outcome = 0) = (ended_at is null)",
            name=op.f("ck_embedder_calls_ended_at_iff_closed"),
        ),
    )
    op.create_index("embedder_calls_batch", "embedder_calls", ["batch_id"])
    is_open = sa.text("outcome = 0")
    op.create_index(
        "embedder_calls_open",
        "embedder_calls",
        ["worker_id"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
