"""What is known of similar requests (`--cache-similar`)."""

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text, UniqueConstraint

from promptmill.schema.tables.metadata import metadata
from promptmill.schema.types import BigKey, Instant

# What was asked, as vectors: a job may take the answer to a request that is similar. Gone with the
# prompts, which a vector tells something of.
similar_entries = Table(
    "similar_entries",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("job_id", BigInteger, nullable=False),
    Column("scope", Text, nullable=False),  # hash of all that must be equal
    Column("vector_base64", Text, nullable=False),  # of length 1, as 16-bit floats
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("job_id"),
)
# a look for what is similar: the entries of a scope that this worker has not read yet
Index("similar_entries_scope", similar_entries.c.scope, similar_entries.c.id)

# Who took the answer to a similar request; it counts while `jobs.twin_of` is the same.
similar_hits = Table(
    "similar_hits",
    metadata,
    Column("job_id", BigInteger, primary_key=True, autoincrement=False),
    Column("twin_of", BigInteger, nullable=False),
    Column("similarity", Double, nullable=False),
    Column("embedder", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
)
