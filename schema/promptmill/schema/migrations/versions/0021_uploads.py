"""Uploads: files that clients put in by parts."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "gateway_uploads",
        sa.Column("no", BigKey, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_expires_s", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.UniqueConstraint("id", name="uq_gateway_uploads_id"),
        sa.CheckConstraint(
            "status in ('pending', 'completed', 'cancelled', 'expired')",
            name=op.f("ck_gateway_uploads_status"),
        ),
    )
    op.create_table(
        "gateway_parts",
        sa.Column("no", BigKey, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.UniqueConstraint("id", name="uq_gateway_parts_id"),
    )
    op.create_index("gateway_parts_of_upload", "gateway_parts", ["upload_id"])
