"""What the batches of a tenant that have ended used, added up."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("batches", sa.Column("carried", sa.SmallInteger(), nullable=True))
    op.create_table(
        "tenant_spending",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("carried_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_spending")),
    )
