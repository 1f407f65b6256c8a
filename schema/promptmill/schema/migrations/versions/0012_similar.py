"""Answers to similar requests: what was asked, as vectors, and who took which answer."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("batches", sa.Column("cache_similar", sa.Double(), nullable=True))
    op.create_table(
        "similar_entries",
        sa.Column("id", BigKey, primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("vector_base64", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.UniqueConstraint("job_id", name="uq_similar_entries_job_id"),
    )
    op.create_table(
        "similar_hits",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("twin_of", sa.BigInteger(), nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
    )
