"""Where a batch's jobs lie. Of batches that an older release has opened it is looked up."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("batches", sa.Column("first_job_id", sa.BigInteger(), nullable=True))
    op.add_column("batches", sa.Column("last_job_id", sa.BigInteger(), nullable=True))
