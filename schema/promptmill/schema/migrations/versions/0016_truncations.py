"""What becomes of prompts that are too long, and what was left out of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("batches", sa.Column("truncate", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("max_input_tokens", sa.BigInteger(), nullable=True))
    op.create_table(
        "truncations",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("cut_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cut_turns", sa.Integer(), nullable=False),
        sa.Column("sent_tokens", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.SmallInteger(), nullable=False),
        sa.Column("told_tokens", sa.BigInteger(), nullable=True),
        sa.Column("told_most", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "fence", name=op.f("pk_truncations")),
    )
