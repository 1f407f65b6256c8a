"""Limits that are changed live. Only adds: workers of the release before go on."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("ceiling", sa.Double(), nullable=False),
        sa.Column("set_at", Instant, nullable=False),
        sa.CheckConstraint("ceiling > 0", name=op.f("ck_limits_ceiling")),
        sa.PrimaryKeyConstraint("provider", "model", "dimension", name=op.f("pk_limits")),
    )
