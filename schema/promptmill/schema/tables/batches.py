"""What is submitted together."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from promptmill.schema.news import UNANNOUNCED
from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import BigKey, Instant, JsonText

batches = Table(
    "batches",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("paused_reason", Text),
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    # Of two batches with the same input, template, model and options, the newer has the higher
    # number (`--new`).
    Column("identity", Text, nullable=False),
    Column("identity_no", Integer, nullable=False, server_default="0"),
    Column("input_name", Text, nullable=False),
    Column("options", JsonText, nullable=False),
    Column("on_unknown", Text, nullable=False, server_default="retry"),
    Column("total", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("opened_at", Instant),
    Column("budget_micros", BigInteger),  # NULL: none
    # So many failed or quarantined jobs pause it, on top of those before; NULL: never.
    Column("max_failures", BigInteger),
    Column("failures_before", BigInteger, nullable=False, server_default="0"),
    # Written at opening, for readers: to look for them takes a second of a million jobs.
    Column("first_job_id", BigInteger),
    Column("last_job_id", BigInteger),
    # What of it was deleted because it is old, and when the last of that went; see moves/pruning.
    Column("pruned", Text),
    Column("pruned_at", Instant),
    # Its jobs take answers that are so many seconds old at most. 0: no more; NULL: it never
    # had a cache. See moves/caching.
    Column("cache_s", BigInteger),
    # And answers to requests that are so similar at least, from 0 to 1; NULL: to equal ones only.
    Column("cache_similar", Double),
    # What becomes of answers that have not the form that their prompt asks for.
    Column("on_invalid", Text, nullable=False, server_default="keep"),
    # What becomes of prompts that are too long, and how many tokens of them are sent at most; see
    # `truncation`. NULL: as their model takes them.
    Column("truncate", Text),
    Column("max_input_tokens", BigInteger),
    Column("tenant_id", BigInteger),  # of the gateway, whose client ordered it; NULL: nobody's
    # How its jobs are asked (`lanes.Lane`), and when it is to be answered; NULL: whenever.
    Column("lane", Text, nullable=False, server_default="live"),
    Column("deadline_at", Instant),
    # Where personal data is masked: 'prompts', 'answers' or 'both'; NULL: nowhere.
    Column("mask_pii", Text),
    # Which other models its jobs go to, and when, as JSON: see `fallbacks`. NULL: none.
    Column("fallbacks", Text),
    # Who hears of its end besides whom the settings name, and what was announced of it last
    # (`moves.announcing`); NULL: nobody, nothing.
    Column("webhook_url", Text),
    Column("announced", Text),
    # Of which schedule it is, and for which of its times; NULL: it was submitted by hand.
    Column("schedule_id", BigInteger),
    Column("scheduled_at", Instant),
    # 1: it has ended, and what it used is in `tenant_spending`, if it is a tenant's; NULL: not yet.
    # See moves/carrying.
    Column("carried", SmallInteger),
    # What its latest `promptmill run` was given over the limits of the settings, as JSON by
    # dimension; NULL: nothing.
    Column("run_limits", Text),
    # The gateway whose client waits for it, by its id in `workers`; NULL: nobody waits.
    Column("waited_by", Text),
    UniqueConstraint("identity", "identity_no"),
    CheckConstraint("state in ('loading', 'open', 'paused', 'cancelled')", name="state"),
    CheckConstraint("(state = 'paused') = (paused_reason is not null)", name="reason_iff_paused"),
    CheckConstraint("on_unknown in ('retry', 'hold')", name="on_unknown"),
)
# schedules: the batch of a time, of which there is one at most
Index(
    "batches_scheduled",
    batches.c.schedule_id,
    batches.c.scheduled_at,
    unique=True,
    **where("schedule_id is not null and state <> 'loading'"),
)
# allowances and carrying: what of a tenant's batches is not added up yet
Index(
    "batches_of_tenant",
    batches.c.tenant_id,
    batches.c.id,
    **where("tenant_id is not null and carried is null"),
)
# dispatch, sweep, the lane: of which batches something may be left to do
Index("batches_to_do", batches.c.state, batches.c.id, **where("carried is null"))
# sweep: live calls whose gateway may be gone
Index(
    "batches_waited",
    batches.c.waited_by,
    **where("waited_by is not null and carried is null"),
)
# announcing: of which batches there may be news
Index("batches_unannounced", batches.c.id, **where(UNANNOUNCED))
