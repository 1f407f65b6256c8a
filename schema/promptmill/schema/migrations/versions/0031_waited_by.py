"""Whose client waits for a live call: when that gateway is gone, nobody does."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("batches", sa.Column("waited_by", sa.Text(), nullable=True))
