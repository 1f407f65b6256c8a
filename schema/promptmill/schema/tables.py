"""The tables, the same on SQLite and PostgreSQL.

Cost is in integer micro-dollars, NULL for unknown. Indexes are partial and say which query they
serve. Moves, counters and rollups are kept by the triggers in `triggers`.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from promptmill.schema.lanes import IN_LANE
from promptmill.schema.types import BigKey, Instant, JsonText

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

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
    UniqueConstraint("identity", "identity_no"),
    CheckConstraint("state in ('loading', 'open', 'paused', 'cancelled')", name="state"),
    CheckConstraint("(state = 'paused') = (paused_reason is not null)", name="reason_iff_paused"),
    CheckConstraint("on_unknown in ('retry', 'hold')", name="on_unknown"),
)
# dispatch and the lane: whether any batch is to go by the providers' batch APIs
Index(
    "batches_laned",
    batches.c.id,
    postgresql_where=text("lane <> 'live'"),
    sqlite_where=text("lane <> 'live'"),
)

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
    postgresql_where=text("state = 0"),
    sqlite_where=text("state = 0"),
)
# dispatch: retries of one scope whose time has come
Index(
    "jobs_waiting",
    jobs.c.provider,
    jobs.c.model,
    jobs.c.run_at,
    postgresql_where=text("state = 3"),
    sqlite_where=text("state = 3"),
)
# dispatch: how deep a queue is; sweep: hints that nobody holds
Index(
    "jobs_queued",
    jobs.c.provider,
    jobs.c.model,
    jobs.c.queued_at,
    postgresql_where=text("state = 1"),
    sqlite_where=text("state = 1"),
)
# rescue, and each beat: what a worker has in hand
Index(
    "jobs_running",
    jobs.c.lease_owner,
    postgresql_where=text("state = 2"),
    sqlite_where=text("state = 2"),
)
# status, retry: what failed in a batch
Index(
    "jobs_dead",
    jobs.c.batch_id,
    jobs.c.id,
    postgresql_where=text("state in (5, 7)"),
    sqlite_where=text("state in (5, 7)"),
)
# submit: one job a custom_id and model; results by custom_id
Index("jobs_asked", jobs.c.batch_id, jobs.c.custom_id, jobs.c.model_no, unique=True)
# dispatch: twins that wait for the job that is asked in their place
Index(
    "jobs_twins_waiting",
    jobs.c.id,
    postgresql_where=text("twin_of is not null and state = 3"),
    sqlite_where=text("twin_of is not null and state = 3"),
)
# the lane: the next jobs of one batch and model for a provider batch (`lanes.LANE_AT`)
Index(
    "jobs_laned",
    jobs.c.batch_id,
    jobs.c.provider,
    jobs.c.model,
    jobs.c.id,
    postgresql_where=text(IN_LANE),
    sqlite_where=text(IN_LANE),
)

job_payloads = Table(
    "job_payloads",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("body", JsonText, nullable=False),
    Column("request_hash", Text, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", SmallInteger, nullable=False, server_default="0"),
    Column("http_status", SmallInteger),
    Column("error_kind", Text),
    Column("error_code", Text),
    Column("error_text", Text),
    Column("request_id", Text),
    Column("latency_ms", Integer),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_micros", BigInteger),
    Column("reserved_micros", BigInteger),  # of a batch with a budget: the most it could cost
    Column("first_token_ms", Integer),  # where the answer was streamed
    PrimaryKeyConstraint("job_id", "fence"),
    CheckConstraint("outcome between 0 and 5", name="outcome"),
    CheckConstraint("(outcome = 0) = (ended_at is null)", name="ended_at_iff_closed"),
)

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

# Responses that OpenAI makes in the background: asked for once, and looked after until they are
# there, whoever asked. Of an earlier generation: no more of interest.
background_responses = Table(
    "background_responses",
    metadata,
    Column("job_id", BigKey, primary_key=True, autoincrement=False),
    Column("generation", SmallInteger, nullable=False),
    Column("response_id", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
)

# What came with an attempt that gave no usable answer, kept as bytes for a person to look at.
attempt_bodies = Table(
    "attempt_bodies",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("body_base64", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "fence"),
)

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

# Prompts that were too long: what was left out of a call, and what its provider said of its length.
truncations = Table(
    "truncations",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("how", Text, nullable=False),
    Column("cut_tokens", BigInteger, nullable=False),
    Column("cut_turns", Integer, nullable=False),
    Column("sent_tokens", BigInteger, nullable=False),  # by our own count, as is what was cut
    Column("refused", SmallInteger, nullable=False),  # 1: it was still too long
    Column("told_tokens", BigInteger),
    Column("told_most", BigInteger),
    PrimaryKeyConstraint("job_id", "fence"),
)

batch_counts = Table(
    "batch_counts",
    metadata,
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("jobs", BigInteger, nullable=False),
    PrimaryKeyConstraint("batch_id", "provider", "model", "state"),
)

# What a batch that has, or had, a budget has used of it. Kept by the claim and by triggers.
batch_spending = Table(
    "batch_spending",
    metadata,
    Column("batch_id", BigInteger, primary_key=True, autoincrement=False),
    Column("spent_micros", BigInteger, nullable=False, server_default="0"),
    # for calls that are open
    Column("reserved_micros", BigInteger, nullable=False, server_default="0"),
    # kept for calls that ended, and nobody knows what they cost
    Column("unknown_micros", BigInteger, nullable=False, server_default="0"),
    # the least that a call needed which did not fit; NULL: none since
    Column("wanted_micros", BigInteger),
)

usage_hourly = Table(
    "usage_hourly",
    metadata,
    Column("hour_at", Instant, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("error_kind", Text, nullable=False),  # '' where there was no error
    Column("calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour_at", "batch_id", "provider", "model", "outcome", "error_kind"),
)

latency_daily = Table(
    "latency_daily",
    metadata,
    Column("batch_id", BigInteger, nullable=False),
    Column("day_at", Instant, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("latency_ms", Integer, nullable=False),  # rounded down to two significant digits
    Column("calls", BigInteger, nullable=False),
    PrimaryKeyConstraint("batch_id", "day_at", "provider", "model", "latency_ms"),
)

# The same of the first token of streamed answers.
first_token_daily = Table(
    "first_token_daily",
    metadata,
    Column("batch_id", BigInteger, nullable=False),
    Column("day_at", Instant, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("first_token_ms", Integer, nullable=False),  # rounded down to two significant digits
    Column("calls", BigInteger, nullable=False),
    PrimaryKeyConstraint("batch_id", "day_at", "provider", "model", "first_token_ms"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID for each start of a process
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("keys", JsonText, nullable=False),  # {"openai": fingerprint of its key, or ""}
    Column("concurrency", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("beat", BigInteger, nullable=False, server_default="0"),
    Column("beat_at", Instant, nullable=False),
    Column("in_hand", JsonText, nullable=False),  # [job_id, …]: hints taken and not yet claimed
    Column("stopped_at", Instant),
)

pauses = Table(
    "pauses",
    metadata,
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # '' for all models
    Column("fingerprint", Text, nullable=False),  # of the key; '' for all keys, or for none
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at", Instant, nullable=False),
    Column("until_at", Instant),  # NULL: until told
    PrimaryKeyConstraint("provider", "model", "fingerprint"),
)

# What a person set live, in place of the settings.
limits = Table(
    "limits",
    metadata,
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # '' for each model, '*' for the account as a whole
    Column("dimension", Text, nullable=False),
    Column("ceiling", Double, nullable=False),
    Column("set_at", Instant, nullable=False),
    PrimaryKeyConstraint("provider", "model", "dimension"),
    CheckConstraint("ceiling > 0", name="ceiling"),
)

leaders = Table(
    "leaders",
    metadata,
    Column("role", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("beat", BigInteger, nullable=False, server_default="0"),
    Column("taken_at", Instant, nullable=False),
)

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
    postgresql_where=text("ended_at is null"),
    sqlite_where=text("ended_at is null"),
)

# What this database makes up, once, so that nobody outside can guess it.
secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
)

# Who may use the gateway. Whatever a client made belongs to its tenant.
tenants = Table(
    "tenants",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("budget_micros", BigInteger),  # of all its batches together; NULL: none
    Column("rpm", Integer),  # requests a minute at the door; NULL: as the settings say
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

# Files of the gateway's clients. Their bytes lie in the folder of files, under their ids.
gateway_files = Table(
    "gateway_files",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),  # the order of lists
    Column("id", Text, nullable=False),  # what clients know: file-...
    Column("tenant_id", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    UniqueConstraint("id"),
)
# lists: the files of a tenant, by age
Index("gateway_files_of_tenant", gateway_files.c.tenant_id, gateway_files.c.no)

# Files that come by parts.
gateway_uploads = Table(
    "gateway_uploads",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # upload_...
    Column("tenant_id", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # of the whole file, as its client said
    Column("file_expires_s", Integer),
    Column("status", Text, nullable=False),
    Column("file_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    UniqueConstraint("id"),
    CheckConstraint("status in ('pending', 'completed', 'cancelled', 'expired')", name="status"),
)
gateway_parts = Table(
    "gateway_parts",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # part_...
    Column("upload_id", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("id"),
)
# an upload's parts
Index("gateway_parts_of_upload", gateway_parts.c.upload_id)

# Batches as the gateway's clients see them; what is to be answered is a batch of `batches`.
gateway_batches = Table(
    "gateway_batches",
    metadata,
    Column("no", BigKey, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),  # batch_...
    Column("tenant_id", BigInteger, nullable=False),
    Column("batch_id", BigInteger),  # NULL: not validated yet, or refused
    Column("endpoint", Text, nullable=False),
    Column("input_file_id", Text, nullable=False),
    Column("completion_window", Text, nullable=False),
    Column("metadata", JsonText),
    Column("output_expires_s", Integer),  # NULL: as the settings say
    Column("status", Text, nullable=False),
    Column("ends_as", Text),  # what `finalizing` leads to
    Column("errors", JsonText),
    Column("usage", JsonText),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("in_progress_at", Instant),
    Column("finalizing_at", Instant),
    Column("completed_at", Instant),
    Column("failed_at", Instant),
    Column("expired_at", Instant),
    Column("cancelling_at", Instant),
    Column("cancelled_at", Instant),
    UniqueConstraint("id"),
    CheckConstraint(
        "status in ('validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired',"
        " 'cancelling', 'cancelled')",
        name="status",
    ),
)
# lists: the batches of a tenant, by age
Index("gateway_batches_of_tenant", gateway_batches.c.tenant_id, gateway_batches.c.no)
# the gateway's own work: what has not ended
Index(
    "gateway_batches_open",
    gateway_batches.c.status,
    postgresql_where=text("status in ('validating', 'in_progress', 'finalizing', 'cancelling')"),
    sqlite_where=text("status in ('validating', 'in_progress', 'finalizing', 'cancelling')"),
)

# Each upgrade that was made, by the release that made it.
revisions = Table(
    "revisions",
    metadata,
    Column("revision", Text, primary_key=True),
    # The oldest revision whose release may work on this database.
    Column("works_from", Text, nullable=False),
    # Of triggers and views: a hash of the statements that made them.
    Column("definitions", Text, nullable=False),
    Column("upgraded_at", Instant, nullable=False),
)
