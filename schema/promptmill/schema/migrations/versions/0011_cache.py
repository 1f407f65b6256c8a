"""How old an answer may be that a batch takes from another job; and a secret for its keys."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("batches", sa.Column("cache_s", sa.BigInteger(), nullable=True))
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
    )
