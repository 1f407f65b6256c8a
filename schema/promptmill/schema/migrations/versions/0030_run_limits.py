"""Limits that a run was given: a report of its batch tells them, and not those of the settings."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.add_column("batches", sa.Column("run_limits", sa.Text(), nullable=True))
