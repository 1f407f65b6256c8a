"""The gateway: tenants and their keys, clients' files, and batches as clients see them."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant, JsonText

revision = "0015"
down_revision = "0014"

_OPEN = "status in ('validating', 'in_progress', 'finalizing', 'cancelling')"


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", BigKey, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
    )
    op.create_table(
        "tenant_keys",
        sa.Column("id", BigKey, primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("ends_with", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("revoked_at", Instant, nullable=True),
        sa.UniqueConstraint("sha256", name="uq_tenant_keys_sha256"),
    )
    op.create_table(
        "gateway_files",
        sa.Column("no", BigKey, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=True),
        sa.UniqueConstraint("id", name="uq_gateway_files_id"),
    )
    op.create_index("gateway_files_of_tenant", "gateway_files", ["tenant_id", "no"])
    instants = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling")
    op.create_table(
        "gateway_batches",
        sa.Column("no", BigKey, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("input_file_id", sa.Text(), nullable=False),
        sa.Column("completion_window", sa.Text(), nullable=False),
        sa.Column("metadata", JsonText, nullable=True),
        sa.Column("output_expires_s", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ends_as", sa.Text(), nullable=True),
        sa.Column("errors", JsonText, nullable=True),
        sa.Column("usage", JsonText, nullable=True),
        sa.Column("output_file_id", sa.Text(), nullable=True),
        sa.Column("error_file_id", sa.Text(), nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        *(sa.Column(f"{name}_at", Instant, nullable=True) for name in (*instants, "cancelled")),
        sa.UniqueConstraint("id", name="uq_gateway_batches_id"),
        sa.CheckConstraint(
            "status in ('validating', 'in_progress', 'finalizing', 'completed', 'failed',"
            " 'expired', 'cancelling', 'cancelled')",
            name=op.f("ck_gateway_batches_status"),
        ),
    )
    op.create_index("gateway_batches_of_tenant", "gateway_batches", ["tenant_id", "no"])
    where = sa.text(_OPEN)
    op.create_index(
        "gateway_batches_open",
        "gateway_batches",
        ["status"],
        postgresql_where=where,
        sqlite_where=where,
    )
