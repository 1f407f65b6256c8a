"""Responses that are made in the background, by the ids that they have at the provider."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "background_responses",
        sa.Column("job_id", BigKey, autoincrement=False, nullable=False),
        sa.Column("generation", sa.SmallInteger(), nullable=False),
        sa.Column("response_id", sa.Text(), nullable=False),
        sa.Column("begun_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_background_responses")),
    )
