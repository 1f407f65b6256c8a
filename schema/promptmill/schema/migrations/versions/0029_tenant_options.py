"""What becomes of every prompt and answer of a tenant."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("tenants", sa.Column("mask_pii", sa.Text(), nullable=True))
    op.add_column("tenants", sa.Column("truncate", sa.Text(), nullable=True))
    op.add_column("tenants", sa.Column("max_input_tokens", sa.BigInteger(), nullable=True))
    op.add_column("tenants", sa.Column("checks", sa.Text(), nullable=True))
