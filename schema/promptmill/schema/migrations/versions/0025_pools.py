"""Of which pool a job was dealt to its provider."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pool", sa.Text(), nullable=True))
