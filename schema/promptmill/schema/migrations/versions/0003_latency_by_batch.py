"""The latency histogram by batch, counted anew. Only its trigger writes it, so workers go on."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0003"
down_revision = "0002"

_DAY = {
    "sqlite": "substr(started_at, 1, 10) || 'T00:00:00.000Z'",
    "postgresql": "date_trunc('day', started_at, 'UTC')",
}


def upgrade() -> None:
    op.drop_table("latency_daily")
    op.create_table(
        "latency_daily",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("day_at", Instant, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "day_at", "provider", "model", "latency_ms", name=op.f("pk_latency_daily")
        ),
    )
    op.execute(
        f"""
insert into latency_daily (batch_id, day_at, provider, model, latency_ms, calls)
select batch_id, {_DAY[op.get_bind().dialect.name]}, provider, model, {_two_digits()}, count(*)
from attempts where outcome = 1 and latency_ms is not null
group by 1, 2, 3, 4, 5"""
    )


def _two_digits() -> str:
    """Round down to two significant digits, as the trigger does."""
    steps = " ".join(
        f"when latency_ms < {100 * step} then latency_ms / {step} * {step}"
        for step in (1, 10, 100, 1000, 10_000, 100_000)
    )
    return f"case {steps} else latency_ms / 1000000 * 1000000 end"
