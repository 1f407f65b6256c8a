"""Several models for one prompt, and prompts that are answered by the answer of an equal one.

Only adds: a worker of the release before sees a job for each model, and twins as cancelled jobs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("model_no", sa.SmallInteger(), server_default="0", nullable=False)
    )
    op.add_column("jobs", sa.Column("twin_of", sa.BigInteger(), nullable=True))
