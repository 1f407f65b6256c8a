"""Which other models are asked, and of which one a job fell back."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("batches", sa.Column("fallbacks", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("fell_back_from", sa.Text(), nullable=True))
