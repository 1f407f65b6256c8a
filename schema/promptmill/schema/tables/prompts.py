"""What checks and masking found in prompts."""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from promptmill.schema.tables.metadata import metadata

# What checks found in prompts when they were submitted.
prompt_flags = Table(
    "prompt_flags",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("flag", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "flag"),
)

# What the words stand for that were put in the place of personal data: kept apart from all else.
pii_map = Table(
    "pii_map",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("word", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "word"),
)
