"""What the gateway's clients see: files, uploads and batches."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import BigKey, Instant, JsonText

# Files of the gateway's clients. Their bytes lie in the folder of files, under their ids.
gateway_files = Table(
    "gateway_files",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),  # the order of lists
    Column("id", Text, nullable=False),  # what clients know: file-...
    Column("tenant_id", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    UniqueConstraint("id"),
)
# lists: the files of a tenant, by age
Index("gateway_files_of_tenant", gateway_files.c.tenant_id, gateway_files.c.no)

# Files that come by parts.
gateway_uploads = Table(
    "gateway_uploads",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # upload_...
    Column("tenant_id", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # of the whole file, as its client said
    Column("file_expires_s", Integer),
    Column("status", Text, nullable=False),
    Column("file_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    UniqueConstraint("id"),
    CheckConstraint("status in ('pending', 'completed', 'cancelled', 'expired')", name="status"),
)
gateway_parts = Table(
    "gateway_parts",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # part_...
    Column("upload_id", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("id"),
)
# an upload's parts
Index("gateway_parts_of_upload", gateway_parts.c.upload_id)

# Batches as the gateway's clients see them; what is to be answered is a batch of `batches`.
gateway_batches = Table(
    "gateway_batches",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # batch_...
    Column("tenant_id", BigInteger, nullable=False),
    Column("batch_id", BigInteger),  # NULL: not validated yet, or refused
    Column("endpoint", Text, nullable=False),
    Column("input_file_id", Text, nullable=False),
    Column("completion_window", Text, nullable=False),
    Column("metadata", JsonText),
    Column("output_expires_s", Integer),  # NULL: as the settings say
    Column("status", Text, nullable=False),
    Column("ends_as", Text),  # what `finalizing` leads to
    Column("errors", JsonText),
    Column("usage", JsonText),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("in_progress_at", Instant),
    Column("finalizing_at", Instant),
    Column("completed_at", Instant),
    Column("failed_at", Instant),
    Column("expired_at", Instant),
    Column("cancelling_at", Instant),
    Column("cancelled_at", Instant),
    UniqueConstraint("id"),
    CheckConstraint(
        "status in ('validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired',"
        " 'cancelling', 'cancelled')",
        name="status",
    ),
)
# lists: the batches of a tenant, by age
Index("gateway_batches_of_tenant", gateway_batches.c.tenant_id, gateway_batches.c.no)
# the gateway's own work: what has not ended
Index(
    "gateway_batches_open",
    gateway_batches.c.status,
    **where("status in ('validating', 'in_progress', 'finalizing', 'cancelling')"),
)
