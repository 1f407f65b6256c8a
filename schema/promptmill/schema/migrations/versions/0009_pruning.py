"""What of a batch was deleted because it is old."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import Instant

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("batches", sa.Column("pruned", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("pruned_at", Instant, nullable=True))
