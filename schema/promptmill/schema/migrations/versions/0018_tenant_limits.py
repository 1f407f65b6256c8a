"""What a tenant may spend and how often it may ask, and whose a batch is."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("tenants", sa.Column("budget_micros", sa.BigInteger(), nullable=True))
    op.add_column("tenants", sa.Column("rpm", sa.Integer(), nullable=True))
    op.add_column("batches", sa.Column("tenant_id", sa.BigInteger(), nullable=True))
