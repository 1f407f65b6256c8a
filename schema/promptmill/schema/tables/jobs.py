"""One row a prompt and model, and its prompt."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
)

from promptmill.schema.lanes import IN_LANE
from promptmill.schema.tables.metadata import metadata, where
from promptmill.schema.types import BigKey, Instant, JsonText

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("batch_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("custom_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", SmallInteger, nullable=False, server_default="0"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("crashes", SmallInteger, nullable=False, server_default="0"),
    Column("dispatch_no", Integer, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("generation", SmallInteger, nullable=False, server_default="0"),
    Column("lease_owner", Text),
    Column("queued_at", Instant),
    Column("run_at", Instant),
    Column("finished_at", Instant),
    # Which of the models that are asked the same prompt.
    Column("model_no", SmallInteger, nullable=False, server_default="0"),
    # The job with an equal request, which is asked in place of this one (`--dedupe`, `--cache`).
    # See `moves.twins`.
    Column("twin_of", BigInteger),
    # `provider/model` that was asked first, where another one is asked now; see `fallbacks`.
    Column("fell_back_from", Text),
    # Of which pool it was dealt to `provider`; NULL: of none, or not yet. See `pools`.
    Column("pool", Text),
    CheckConstraint("state between 0 and 7", name="state"),
    CheckConstraint("(state = 1) = (queued_at is not null)", name="queued_at_iff_queued"),
    CheckConstraint("(state = 2) = (lease_owner is not null)", name="lease_iff_running"),
    CheckConstraint("(state = 3) = (run_at is not null)", name="run_at_iff_waiting"),
    CheckConstraint("(state >= 4) = (finished_at is not null)", name="finished_at_iff_final"),
)
# dispatch: the next jobs of one batch and scope
Index(
    "jobs_due",
    jobs.c.batch_id,
    jobs.c.provider,
    jobs.c.model,
    jobs.c.id,
    **where("state = 0"),
)
# dispatch: retries of one scope whose time has come
Index(
    "jobs_waiting",
    jobs.c.provider,
    jobs.c.model,
    jobs.c.run_at,
    **where("state = 3"),
)
# dispatch: the same of one batch, where another is held; cancel, fallbacks: what of a batch waits
Index(
    "jobs_waiting_of_batch",
    jobs.c.batch_id,
    jobs.c.provider,
    jobs.c.model,
    jobs.c.run_at,
    **where("state = 3"),
)
# dispatch: how deep a queue is; sweep: hints that nobody holds
Index(
    "jobs_queued",
    jobs.c.provider,
    jobs.c.model,
    jobs.c.queued_at,
    **where("state = 1"),
)
# rescue, and each beat: what a worker has in hand
Index(
    "jobs_running",
    jobs.c.lease_owner,
    **where("state = 2"),
)
# retry: what failed in a batch; status: which attempts were the last of these, from the index alone
Index(
    "jobs_failed",
    jobs.c.batch_id,
    jobs.c.id,
    jobs.c.state,
    jobs.c.fence,
    **where("state in (5, 7)"),
)
# submit: one job a custom_id and model; results by custom_id
Index("jobs_asked", jobs.c.batch_id, jobs.c.custom_id, jobs.c.model_no, unique=True)
# dispatch: twins that wait for the job that is asked in their place
Index(
    "jobs_twins_waiting",
    jobs.c.id,
    **where("twin_of is not null and state = 3"),
)
# the lane: the next jobs of one batch and model for a provider batch (`lanes.LANE_AT`)
Index(
    "jobs_laned",
    jobs.c.batch_id,
    jobs.c.provider,
    jobs.c.model,
    jobs.c.id,
    **where(IN_LANE),
)

job_payloads = Table(
    "job_payloads",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("body", JsonText, nullable=False),
    Column("request_hash", Text, nullable=False),
)
