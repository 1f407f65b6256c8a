"""The answers of jobs that succeeded."""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, SmallInteger, Table, Text

from promptmill.schema.tables.metadata import metadata
from promptmill.schema.types import BigKey, Instant, JsonText

results = Table(
    "results",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("text", Text),
    Column("tool_calls", JsonText),
    Column("finish_reason", Text, nullable=False),
    Column("response_model", Text),
    Column("response_id", Text),
    Column("created_at", Instant, nullable=False),
)

# The provider's own answer, where it holds more than the columns of `results`.
result_bodies = Table(
    "result_bodies",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("endpoint", Text, nullable=False),
    Column("body", JsonText, nullable=False),
)

# Images and the like that came with an answer. In the body a word stands for their bytes.
result_files = Table(
    "result_files",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("position", SmallInteger, nullable=False),  # in the answer, from 0
    Column("media_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("path", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "position"),
)

# Whether an answer has the form that its prompt asks for; no row where it asks for none.
result_checks = Table(
    "result_checks",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("validity", Text, nullable=False),
    Column("problem", Text),  # where and by which rule it has not: no word of the answer
)
