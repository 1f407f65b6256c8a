"""Which release may work on a database that a newer one has upgraded."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("works_from", sa.Text(), nullable=False),
        sa.Column("definitions", sa.Text(), nullable=False),
        sa.Column("upgraded_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_revisions")),
    )
