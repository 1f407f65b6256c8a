"""Jobs that go by the providers' batch APIs.

A dispatcher of an older release would take the jobs in a provider batch for those of a dead worker.
It goes on until there is a batch that may have such: see `moves.laning`.
"""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("batches", sa.Column("lane", sa.Text(), server_default="live", nullable=False))
    op.add_column("batches", sa.Column("deadline_at", Instant, nullable=True))
    op.create_table(
        "provider_batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tried_at", Instant, nullable=True),
        sa.Column("sent_at", Instant, nullable=True),
        sa.Column("recalled_at", Instant, nullable=True),
        sa.Column("ended_at", Instant, nullable=True),
        sa.CheckConstraint(
            "state in ('filling', 'whole', 'sent', 'ended')",
            name=op.f("ck_provider_batches_state"),
        ),
        sa.CheckConstraint(
            "(state = 'ended') = (ended_at is not null)",
            name=op.f("ck_provider_batches_ended_at_iff_ended"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_batches")),
    )
    op.create_index(
        "provider_batches_open",
        "provider_batches",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("ended_at is null"),
        sqlite_where=sa.text("ended_at is null"),
    )
