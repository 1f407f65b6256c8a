"""Make a batch: its row first, then jobs in chunks, then open it. Nothing is dispatched before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from promptmill.schema.lanes import Lane
from promptmill.schema.moves.laning import stop_older
from promptmill.schema.moves.spending import begin_spending, forget_spending
from promptmill.schema.new_job import NewJob
from promptmill.schema.statement import Statement


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a batch is made of, apart from its jobs."""

    name: str
    identity: str
    """hash over input, template, model and sampling options: the same is the same batch"""
    input_name: str
    options: str
    """JSON: what was asked for, for people to read"""
    total: int = 0
    """jobs; 0 where that is known only when all of the input was read: see `complete_batch`"""
    priority: int = 0
    on_unknown: str = "retry"
    budget_micros: int | None = None
    """what it may cost; None: anything"""
    max_failures: int | None = None
    """so many failed jobs pause it"""
    cache_s: int | None = None
    """its jobs take answers of others that are so old at most; None: none"""
    cache_similar: float | None = None
    """and to requests that are so similar at least; None: to equal ones only"""
    on_invalid: str = "keep"
    """an `answer_forms.OnInvalid`"""
    truncate: str | None = None
    """a `truncation.Truncate`; None: what is surely too long fails"""
    max_input_tokens: int | None = None
    """of a prompt are sent; None: as many as its model takes"""
    tenant_id: int | None = None
    """whose it is; None: nobody's"""
    lane: Lane = Lane.LIVE
    deadline_s: float | None = None
    """from now; None: none"""
    mask_pii: str | None = None
    """where personal data is masked, a `pii.values.MaskPii`; None: nowhere"""
    fallbacks: str | None = None
    """which other models are asked, and when: see `schema.fallbacks`"""
    webhook_url: str | None = None
    """who hears of its end, besides whom the settings name"""
    waited_by: str | None = None
    """the gateway whose client waits for it; None: nobody waits"""
    schedule_id: int | None = None
    scheduled_at: str | None = None
    """for which time of its schedule it is"""


@dataclass(frozen=True, slots=True)
class BatchFound:
    """A batch with the identity that was asked for."""

    id: int
    identity_no: int
    state: str
    total: int
    is_gone: bool = False
    """all of it was pruned"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """How far a batch is loaded."""

    state: str
    last: int
    """the highest position that is stored, 0 for none"""


_find = Statement(
    """
select id, identity_no, state, total, coalesce(pruned, '') = 'all' from batches
where identity = :identity order by identity_no desc limit 1"""
)
_look = Statement(
    """
select b.state, coalesce((select max(j.position) from jobs j where j.batch_id = b.id), 0)
from batches b where b.id = :batch_id"""
)
_create = Statement(
    """
insert into batches (name, state, priority, identity, identity_no, input_name, options, on_unknown,
  total, created_at, budget_micros, max_failures, cache_s,
  cache_similar, on_invalid, truncate, max_input_tokens, tenant_id, lane, deadline_at, mask_pii,
  fallbacks, webhook_url, waited_by, schedule_id, scheduled_at)
values (:name, 'loading', :priority, :identity, :identity_no, :input_name, {json::options},
  :on_unknown, :total, {now}, :budget_micros, :max_failures, :cache_s,
  :cache_similar, :on_invalid, :truncate, :max_input_tokens, :tenant_id,
  :lane, {after:cast(:deadline_s as float)}, :mask_pii, :fallbacks,
  :webhook_url, :waited_by, :schedule_id, :scheduled_at)
returning id"""
)
_hold = Statement("update batches set total = total where id = :batch_id and state = 'loading'")
_complete = Statement(
    """
update batches set identity = :identity, identity_no = :identity_no, total = :total,
  max_failures = coalesce(:max_failures, max_failures), fallbacks = :fallbacks
where id = :batch_id and state = 'loading'"""
)
# Of a tenant with a budget nothing is called before `allowances` gave the batch its part of it.
_open = Statement(
    """
update batches set state = 'open', opened_at = {now}, first_job_id = :first, last_job_id = :last,
  budget_micros = case when tenant_id in (select t.id from tenants t
    where t.budget_micros is not null) then 0 else budget_micros end
where id = :batch_id and state = 'loading'"""
)
# Each half has an index of its own that covers it. Nothing else is in a batch that is loading.
_tally = Statement(
    """
select provider, model, 0, count(*), min(id), max(id) from jobs
where batch_id = :batch_id and state = 0 group by provider, model
union all
select provider, model, 3, count(*), min(id), max(id) from jobs
where +batch_id = :batch_id and twin_of is not null and state = 3 group by provider, model"""
)
_count = Statement(
    """
insert into batch_counts (batch_id, provider, model, state, jobs)
values (:batch_id, :provider, :model, :state, :jobs)"""
)
# From the end: where this is cut short, what is left is the beginning, and can be gone on with.
_discard_payloads = Statement(
    """
delete from job_payloads where job_id in
  (select id from jobs where batch_id = :batch_id order by id desc limit :most)"""
)
_discard_masked = Statement(
    """
delete from pii_map where job_id in
  (select id from jobs where batch_id = :batch_id order by id desc limit :most)"""
)
_discard_flags = Statement(
    """
delete from prompt_flags where job_id in
  (select id from jobs where batch_id = :batch_id order by id desc limit :most)"""
)
_discard_jobs = Statement(
    """
delete from jobs where id in
  (select id from jobs where batch_id = :batch_id order by id desc limit :most)"""
)
_discard_batch = Statement("delete from batches where id = :batch_id and state = 'loading'")
_position_of = Statement(
    "select position from jobs where batch_id = :batch_id and custom_id = :custom_id"
)

# Never one that was pruned: who still knows the old job would take the new one for it.
_LAST_ID = """
select max(coalesce((select max(id) from jobs), 0),
  coalesce((select max(last_job_id) from batches), 0))"""
_CACHE_KIB = 16384
"""Of each table that only grows one page is at work: 64 MiB of them would be kept for nothing."""
# Each checkpoint writes the upper pages of the indexes anew: one for 64 MiB of log, not for 4.
_SELDOM = "pragma wal_autocheckpoint = 16384"
_JOB_COLUMNS = ("id", "batch_id", "position", "custom_id", "provider", "model", "model_no")
_PAYLOAD_COLUMNS = ("job_id", "body", "request_hash")
_MASKED_COLUMNS = ("job_id", "word", "value")


def find_batch(connection: Connection, identity: str) -> BatchFound | None:
    """Find the newest batch of this identity."""
    rows = _find.fetch(connection, identity=identity)
    return BatchFound(*rows[0]) if rows else None


def look_at_batch(connection: Connection, batch_id: int) -> Loaded | None:
    """See how far a batch is loaded: all of its jobs are looked at."""
    rows = _look.fetch(connection, batch_id=batch_id)
    return Loaded(*rows[0]) if rows else None


def create_batch(connection: Connection, batch: NewBatch, *, identity_no: int = 0) -> int:
    """Insert a batch in state loading and return its id."""
    stop_older(connection, batch.lane)
    rows = _create.fetch(
        connection,
        name=batch.name,
        priority=batch.priority,
        identity=batch.identity,
        identity_no=identity_no,
        input_name=batch.input_name,
        options=batch.options,
        on_unknown=batch.on_unknown,
        max_failures=batch.max_failures,
        on_invalid=batch.on_invalid,
        truncate=batch.truncate,
        max_input_tokens=batch.max_input_tokens,
        mask_pii=batch.mask_pii,
        total=batch.total,
        budget_micros=batch.budget_micros,
        cache_s=batch.cache_s,
        cache_similar=batch.cache_similar,
        tenant_id=batch.tenant_id,
        lane=batch.lane,
        deadline_s=batch.deadline_s,
        fallbacks=batch.fallbacks,
        webhook_url=batch.webhook_url,
        waited_by=batch.waited_by,
        schedule_id=batch.schedule_id,
        scheduled_at=batch.scheduled_at,
    )
    batch_id = int(rows[0][0])
    if batch.budget_micros is not None or batch.tenant_id is not None:
        begin_spending(connection, batch_id)
    return batch_id


def hold_loading(connection: Connection, batch_id: int) -> bool:
    """Keep all others from loading this batch until the end of the transaction.

    False: it is not loading any more.
    """
    return bool(_hold.run(connection, batch_id=batch_id))


def insert_jobs(connection: Connection, batch_id: int, jobs: Sequence[NewJob]) -> None:
    """Insert a chunk of jobs and payloads: COPY on PostgreSQL, executemany on SQLite.

    Raises DatabaseError where a custom_id is in the batch already.
    """
    if not jobs:
        return
    first = _reserve_ids(connection, len(jobs))
    # Made while the server takes those before: it is what a load waits for.
    job_rows = (
        (first + n, batch_id, job.position, job.custom_id, job.provider, job.model, job.model_no)
        for n, job in enumerate(jobs)
    )
    payload_rows = ((first + n, job.body, job.request_hash) for n, job in enumerate(jobs))
    _bulk_insert(connection, "jobs", _JOB_COLUMNS, job_rows)
    _bulk_insert(connection, "job_payloads", _PAYLOAD_COLUMNS, payload_rows)
    masked = [
        (first + n, word, value)
        for n, job in enumerate(jobs)
        if job.masked
        for word, value in job.masked.items()
    ]
    if masked:
        _bulk_insert(connection, "pii_map", _MASKED_COLUMNS, masked)
    flags = [(first + n, flag) for n, job in enumerate(jobs) for flag in job.flags]
    if flags:
        _bulk_insert(connection, "prompt_flags", ("job_id", "flag"), flags)


def complete_batch(
    connection: Connection, batch_id: int, batch: NewBatch, *, identity_no: int
) -> None:
    """Say of a loading batch what is known once all of its input was read.

    Raises DatabaseError where there is a batch of this identity and number already.
    """
    _complete.run(
        connection,
        batch_id=batch_id,
        identity=batch.identity,
        identity_no=identity_no,
        total=batch.total,
        max_failures=batch.max_failures,
        fallbacks=batch.fallbacks,
    )


def open_batch(connection: Connection, batch_id: int) -> bool:
    """Count the jobs and let them be dispatched. False: it was open already."""
    if not hold_loading(connection, batch_id):
        return False
    tally = _tally.fetch(connection, batch_id=batch_id)
    for provider, model, state, jobs, _, _ in tally:
        _count.run(
            connection, batch_id=batch_id, provider=provider, model=model, state=state, jobs=jobs
        )
    first = min((row[4] for row in tally), default=None)
    last = max((row[5] for row in tally), default=None)
    return bool(_open.run(connection, batch_id=batch_id, first=first, last=last))


def analyze(connection: Connection) -> None:
    """Refresh the planner's statistics: without, updates after a large load run at a third."""
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        connection.exec_driver_sql("pragma analysis_limit = 1000")  # rows of an index, not all
    connection.exec_driver_sql("analyze jobs")
    if not is_sqlite:  # payloads are only found by their job: a small sample is enough
        connection.exec_driver_sql("set local default_statistics_target = 10")
    connection.exec_driver_sql("analyze job_payloads")


def discard_loading(connection: Connection, batch_id: int, *, most: int = 10_000) -> bool:
    """Delete a chunk of a batch that was never opened. True when nothing of it is left.

    A batch that is open is left as it is: another submit of the same input has finished it.
    """
    if not hold_loading(connection, batch_id):
        return True
    _discard_payloads.run(connection, batch_id=batch_id, most=most)
    _discard_masked.run(connection, batch_id=batch_id, most=most)
    _discard_flags.run(connection, batch_id=batch_id, most=most)
    if _discard_jobs.run(connection, batch_id=batch_id, most=most):
        return False
    forget_spending(connection, batch_id)
    _discard_batch.run(connection, batch_id=batch_id)
    return True


def position_of(connection: Connection, batch_id: int, custom_id: str) -> int | None:
    """Tell on which line of the input *custom_id* was first."""
    rows = _position_of.fetch(connection, batch_id=batch_id, custom_id=custom_id)
    return int(rows[0][0]) if rows else None


def _reserve_ids(connection: Connection, count: int) -> int:
    """Take *count* consecutive ids; the transaction holds the only writer's lock on SQLite."""
    if connection.dialect.name == "sqlite":
        last = connection.exec_driver_sql(_LAST_ID).scalar_one()
        return int(last) + 1
    # One at a time, or two submits would share a block.
    connection.exec_driver_sql("select pg_advisory_xact_lock(7305114412)")
    first = connection.exec_driver_sql(
        "select setval(s.name, nextval(s.name) + %(more)s) - %(more)s"
        " from (select pg_get_serial_sequence('jobs', 'id') as name) s",
        {"more": count - 1},
    ).scalar_one()
    return int(first)


def _bulk_insert(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        if -int(connection.exec_driver_sql("pragma cache_size").scalar_one()) > _CACHE_KIB:
            connection.exec_driver_sql(f"pragma cache_size = -{_CACHE_KIB}")
        connection.exec_driver_sql(_SELDOM)
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"insert into {table} ({names}) values ({marks})", list(rows))
        return
    statement = f"copy {table} ({names}) from stdin"
    refused = connection.dialect.loaded_dbapi.Error
    driver: Any = connection.connection.cursor()
    try:
        with driver.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except refused as error:
        raise DBAPIError.instance(
            statement, None, error, refused, hide_parameters=True, dialect=connection.dialect
        ) from error
    finally:
        driver.close()
