"""The first tables."""

import sqlalchemy as sa
from alembic import op

from promptmill.schema.types import BigKey, Instant, JsonText

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "attempt_bodies",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("body_base64", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "fence", name=op.f("pk_attempt_bodies")),
    )
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("ended_at", Instant, nullable=True),
        sa.Column("outcome", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_read_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(outcome = 0) = (ended_at is null)", name=op.f("ck_attempts_ended_at_iff_closed")
        ),
        sa.CheckConstraint("outcome between 0 and 5", name=op.f("ck_attempts_outcome")),
        sa.PrimaryKeyConstraint("job_id", "fence", name=op.f("pk_attempts")),
    )
    op.create_table(
        "batch_counts",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "provider", "model", "state", name=op.f("pk_batch_counts")
        ),
    )
    op.create_table(
        "batches",
        sa.Column("id", BigKey, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("identity_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("input_name", sa.Text(), nullable=False),
        sa.Column("options", JsonText, nullable=False),
        sa.Column("on_unknown", sa.Text(), server_default="retry", nullable=False),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("opened_at", Instant, nullable=True),
        sa.CheckConstraint(
            "(state = 'paused') = (paused_reason is not null)",
            name=op.f("ck_batches_reason_iff_paused"),
        ),
        sa.CheckConstraint("on_unknown in ('retry', 'hold')", name=op.f("ck_batches_on_unknown")),
        sa.CheckConstraint(
            "state in ('loading', 'open', 'paused', 'cancelled')", name=op.f("ck_batches_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint(
            "identity", "identity_no", name=op.f("uq_batches_identity_identity_no")
        ),
    )
    op.create_table(
        "job_payloads",
        sa.Column("job_id", BigKey, autoincrement=False, nullable=False),
        sa.Column("body", JsonText, nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_payloads")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", BigKey, autoincrement=True, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("custom_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("dispatch_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("generation", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("queued_at", Instant, nullable=True),
        sa.Column("run_at", Instant, nullable=True),
        sa.Column("finished_at", Instant, nullable=True),
        sa.CheckConstraint(
            "(state = 1) = (queued_at is not null)", name=op.f("ck_jobs_queued_at_iff_queued")
        ),
        sa.CheckConstraint(
            "(state = 2) = (lease_owner is not null)", name=op.f("ck_jobs_lease_iff_running")
        ),
        sa.CheckConstraint(
            "(state = 3) = (run_at is not null)", name=op.f("ck_jobs_run_at_iff_waiting")
        ),
        sa.CheckConstraint(
            "(state >= 4) = (finished_at is not null)", name=op.f("ck_jobs_finished_at_iff_final")
        ),
        sa.CheckConstraint("state between 0 and 7", name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("jobs_custom_id", "jobs", ["batch_id", "custom_id"], unique=True)
    op.create_index(
        "jobs_dead",
        "jobs",
        ["batch_id", "id"],
        unique=False,
        postgresql_where=sa.text("state in (5, 7)"),
        sqlite_where=sa.text("state in (5, 7)"),
    )
    op.create_index(
        "jobs_due",
        "jobs",
        ["batch_id", "provider", "model", "id"],
        unique=False,
        postgresql_where=sa.text("state = 0"),
        sqlite_where=sa.text("state = 0"),
    )
    op.create_index(
        "jobs_queued",
        "jobs",
        ["provider", "model", "queued_at"],
        unique=False,
        postgresql_where=sa.text("state = 1"),
        sqlite_where=sa.text("state = 1"),
    )
    op.create_index(
        "jobs_running",
        "jobs",
        ["lease_owner"],
        unique=False,
        postgresql_where=sa.text("state = 2"),
        sqlite_where=sa.text("state = 2"),
    )
    op.create_index(
        "jobs_waiting",
        "jobs",
        ["provider", "model", "run_at"],
        unique=False,
        postgresql_where=sa.text("state = 3"),
        sqlite_where=sa.text("state = 3"),
    )
    op.create_table(
        "latency_daily",
        sa.Column("day_at", Instant, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day_at", "provider", "model", "latency_ms", name=op.f("pk_latency_daily")
        ),
    )
    op.create_table(
        "leaders",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("beat", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("taken_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_leaders")),
    )
    op.create_table(
        "pauses",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_at", Instant, nullable=False),
        sa.Column("until_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("provider", "model", "fingerprint", name=op.f("pk_pauses")),
    )
    op.create_table(
        "results",
        sa.Column("job_id", BigKey, autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("tool_calls", JsonText, nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=False),
        sa.Column("response_model", sa.Text(), nullable=True),
        sa.Column("response_id", sa.Text(), nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_results")),
    )
    op.create_table(
        "usage_hourly",
        sa.Column("hour_at", Instant, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("error_kind", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour_at",
            "batch_id",
            "provider",
            "model",
            "outcome",
            "error_kind",
            name=op.f("pk_usage_hourly"),
        ),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("keys", JsonText, nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("beat", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("beat_at", Instant, nullable=False),
        sa.Column("in_hand", JsonText, nullable=False),
        sa.Column("stopped_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
