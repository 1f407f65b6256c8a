"""What checks found in prompts."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "prompt_flags",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("flag", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "flag", name=op.f("pk_prompt_flags")),
    )
