"""What lies at the providers' own batch APIs."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Table, Text

from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import Instant

# What lies, or lay, at a provider's batch API. It owns its jobs while they run (`lease_owner`).
provider_batches = Table(
    "provider_batches",
    metadata,
    Column(
        "id", Text, primary_key=True
    ),  # its name at the provider too, by which it is found again
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # of the key; '' for none
    Column("state", Text, nullable=False),
    Column("jobs", BigInteger, nullable=False, server_default="0"),
    Column("tokens", BigInteger, nullable=False, server_default="0"),  # of input, estimated
    Column("provider_id", Text),  # as the provider calls it; NULL: not known there, or not yet
    Column("done", BigInteger, nullable=False, server_default="0"),  # as the provider tells
    Column("problem", Text),
    Column("made_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("tried_at", Instant),  # when it was last asked for; NULL: it is surely not there
    Column("sent_at", Instant),
    Column("recalled_at", Instant),  # when it was told to come back unfinished
    Column("ended_at", Instant),
    CheckConstraint("state in ('filling', 'whole', 'sent', 'ended')", name="state"),
    CheckConstraint("(state = 'ended') = (ended_at is not null)", name="ended_at_iff_ended"),
)
# the lane, rescue and status: what is open
Index(
    "provider_batches_open",
    provider_batches.c.batch_id,
    **where("ended_at is null"),
)
