"""What becomes of answers that have not the form that was asked for, and which have it."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column(
        "batches", sa.Column("on_invalid", sa.Text(), server_default="keep", nullable=False)
    )
    op.create_table(
        "result_checks",
        sa.Column("job_id", BigKey, autoincrement=False, nullable=False),
        sa.Column("validity", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_result_checks")),
    )
