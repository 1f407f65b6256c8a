"""What a batch may cost. Only adds; but workers of the release before know no budget, and stop."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
works_from = "0005"


def upgrade() -> None:
    op.add_column("batches", sa.Column("budget_micros", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("reserved_micros", sa.BigInteger(), nullable=True))
    op.create_table(
        "batch_spending",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wanted_micros", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch_spending")),
    )
