"""Batches that have ended are carried, whosever they are: no look of the dispatcher reads them."""

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.execute(
        """
update batches set carried = 1
where tenant_id is null and carried is null and state <> 'loading' and not exists (
  select 1 from batch_counts c where c.batch_id = batches.id and c.state < 4 and c.jobs > 0)"""
    )
