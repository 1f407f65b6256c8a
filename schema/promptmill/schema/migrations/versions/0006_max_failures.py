"""How many prompts of a batch may fail before it pauses.

Workers of the release before don't look at it: where one of them sees the last failure that is
allowed, the batch pauses at the next one that a newer worker sees.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("batches", sa.Column("max_failures", sa.BigInteger(), nullable=True))
    op.add_column(
        "batches",
        sa.Column("failures_before", sa.BigInteger(), server_default="0", nullable=False),
    )
