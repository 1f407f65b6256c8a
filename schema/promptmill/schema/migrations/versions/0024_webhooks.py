"""Webhooks: who is to hear of a batch, what was announced of it, and deliveries."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("batches", sa.Column("webhook_url", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("announced", sa.Text(), nullable=True))
    op.add_column("tenants", sa.Column("webhook_url", sa.Text(), nullable=True))
    op.create_table(
        "webhook_deliveries",
        sa.Column("no", BigKey, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default="pending"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("fence", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("leased_until", Instant, nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("ended_at", Instant, nullable=True),
        sa.UniqueConstraint("id", name="uq_webhook_deliveries_id"),
        sa.CheckConstraint(
            "state in ('pending', 'delivered', 'failed', 'gone')",
            name=op.f("ck_webhook_deliveries_state"),
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (ended_at is null)",
            name=op.f("ck_webhook_deliveries_ended_at_iff_ended"),
        ),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "webhook_deliveries_due",
        "webhook_deliveries",
        ["url", "no"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
    op.create_index("webhook_deliveries_ended", "webhook_deliveries", ["url", "ended_at"])
    # What had ended before is no news.
    op.execute(
        "update batches set announced = case when state = 'cancelled' then 'cancelled'"
        " else 'completed' end where state <> 'loading' and not exists (select 1"
        " from batch_counts c where c.batch_id = batches.id and c.state < 4 and c.jobs > 0)"
    )
