"""Schedules: batches that are submitted by the clock."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant, JsonText

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("batches", sa.Column("schedule_id", sa.BigInteger(), nullable=True))
    op.add_column("batches", sa.Column("scheduled_at", Instant, nullable=True))
    op.create_table(
        "schedules",
        sa.Column("id", BigKey, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("arguments", JsonText, nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("next_at", Instant, nullable=False),
        sa.Column("paused_at", Instant, nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("leased_until", Instant, nullable=True),
        sa.Column("last_at", Instant, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("name", name="uq_schedules_name"),
        sa.CheckConstraint("overlap in ('skip', 'allow')", name=op.f("ck_schedules_overlap")),
        sa.CheckConstraint(
            "outcome in ('submitted', 'skipped', 'failed')", name=op.f("ck_schedules_outcome")
        ),
    )
    at_work = sa.text("paused_at is null")
    op.create_index(
        "schedules_due",
        "schedules",
        ["next_at"],
        postgresql_where=at_work,
        sqlite_where=at_work,
    )
