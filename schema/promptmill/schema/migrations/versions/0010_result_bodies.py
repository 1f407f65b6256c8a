"""The provider's own answers, and the files that came with them."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, JsonText

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "result_bodies",
        sa.Column("job_id", BigKey, autoincrement=False, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("body", JsonText(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_result_bodies")),
    )
    op.create_table(
        "result_files",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_result_files")),
    )
