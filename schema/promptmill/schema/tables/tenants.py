"""Who may use the gateway."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text, UniqueConstraint

from promptmill.schema.tables.metadata import metadata
from promptmill.schema.types import BigKey, Instant

# Who may use the gateway. Whatever a client made belongs to its tenant.
tenants = Table(
    "tenants",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("budget_micros", BigInteger),  # of all its batches together; NULL: none
    Column("rpm", Integer),  # requests a minute at the door; NULL: as the settings say
    Column("webhook_url", Text),  # told of the end of its batches; NULL: nobody
    # What becomes of its prompts and answers: see `tenant_options`. NULL: as of all others.
    Column("mask_pii", Text),
    Column("truncate", Text),
    Column("max_input_tokens", BigInteger),
    Column("checks", Text),
    UniqueConstraint("name"),
)

# Keys of tenants. Of a key itself only a hash is here: it cannot be read again.
tenant_keys = Table(
    "tenant_keys",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("label", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("ends_with", Text, nullable=False),  # four characters, by which people know it
    Column("scopes", Text, nullable=False),  # with a space between them
    Column("made_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    UniqueConstraint("sha256"),
)
