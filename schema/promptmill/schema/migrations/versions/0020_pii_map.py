"""Where personal data is masked, and what the words stand for that were put in its place."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("batches", sa.Column("mask_pii", sa.Text(), nullable=True))
    op.create_table(
        "pii_map",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "word", name=op.f("pk_pii_map")),
    )
