"""How long the first token of a streamed answer took."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("first_token_ms", sa.Integer(), nullable=True))
    op.create_table(
        "first_token_daily",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("day_at", Instant, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("first_token_ms", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id",
            "day_at",
            "provider",
            "model",
            "first_token_ms",
            name=op.f("pk_first_token_daily"),
        ),
    )
