"""Batches as the gateway's clients see them: OpenAI's states over a batch of ours.

    validating -> in_progress -> finalizing -> completed | expired
         |             |
         v             v
      failed      cancelling -> cancelled          (also from validating)

Each move is a compare-and-set on the status. Statements of clients name the tenant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant, parse_instant
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState


class Status(StrEnum):
    """Where a batch of a client is, in OpenAI's words."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a client asks to be done with a file."""

    id: str
    tenant_id: int
    endpoint: str
    input_file_id: str
    completion_window: str
    window_s: float
    metadata: str | None
    """JSON"""
    output_expires_s: int | None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A batch of a client."""

    id: str
    tenant_id: int
    batch_id: int | None
    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: str | None
    output_expires_s: int | None
    status: str
    ends_as: str | None
    errors: str | None
    usage: str | None
    output_file_id: str | None
    error_file_id: str | None
    created_at: datetime
    expires_at: datetime
    in_progress_at: datetime | None
    finalizing_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    expired_at: datetime | None
    cancelling_at: datetime | None
    cancelled_at: datetime | None
    is_late: bool
    """its time is over"""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many requests of a batch ended, and how."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    models: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing is left of it to do."""
        return self.completed + self.failed + self.cancelled >= self.total


NO_COUNTS = Counts()

_ORDER = """
select o.id, o.tenant_id, o.batch_id, o.endpoint, o.input_file_id, o.completion_window,
  cast(o.metadata as text), o.output_expires_s, o.status, o.ends_as, cast(o.errors as text),
  cast(o.usage as text), o.output_file_id, o.error_file_id, o.created_at, o.expires_at,
  o.in_progress_at, o.finalizing_at, o.completed_at, o.failed_at, o.expired_at, o.cancelling_at,
  o.cancelled_at, o.expires_at <= {now}
from gateway_batches o"""
_OPEN = "('validating', 'in_progress', 'finalizing', 'cancelling')"
_add = Statement(
    """
insert into gateway_batches (id, tenant_id, endpoint, input_file_id, completion_window, metadata,
  output_expires_s, status, created_at, expires_at)
values (:id, :tenant_id, :endpoint, :input_file_id, :completion_window, {json::metadata},
  :output_expires_s, 'validating', {now}, {after::window_s})"""
)
_order = Statement(f"{_ORDER} where o.id = :id and o.tenant_id = :tenant_id")
_page = Statement(
    f"""{_ORDER} where o.tenant_id = :tenant_id and (:after = '' or o.no <
  (select no from gateway_batches where id = :after and tenant_id = :tenant_id))
order by o.no desc limit :most"""
)
_open_ones = Statement(f"{_ORDER} where o.status in {_OPEN} order by o.no")
_cancel = Statement(
    """
update gateway_batches set status = 'cancelling', cancelling_at = {now}
where id = :id and tenant_id = :tenant_id and status in ('validating', 'in_progress')"""
)
_begin = Statement(
    """
update gateway_batches set batch_id = :batch_id, in_progress_at = {now},
  status = case when status = 'validating' then 'in_progress' else status end
where id = :id and status in ('validating', 'cancelling') and batch_id is null"""
)
_fail = Statement(
    """
update gateway_batches set status = 'failed', failed_at = {now}, errors = {json::errors}
where id = :id and status in ('validating', 'cancelling') and batch_id is null"""
)
_finalize = Statement(
    """
update gateway_batches set status = 'finalizing', finalizing_at = {now}, ends_as = :ends_as
where id = :id and status = 'in_progress'"""
)
_end = Statement(
    """
update gateway_batches set status = :status, output_file_id = :output_file_id,
  error_file_id = :error_file_id, usage = {json::usage},
  completed_at = case when :status = 'completed' then {now} end,
  expired_at = case when :status = 'expired' then {now} end,
  cancelled_at = case when :status = 'cancelled' then {now} end
where id = :id and status in ('finalizing', 'cancelling')"""
)
_ids = RowSet("ids", (Column("batch_id", "bigint"),))
_counts = Statement(
    "select c.batch_id, c.model, c.state, c.jobs from batch_counts c"
    " join {ids} on ids.batch_id = c.batch_id where c.jobs > 0",
    _ids,
)
_usage = Statement(
    """
select coalesce(sum(a.input_tokens), 0), coalesce(sum(a.cache_read_tokens), 0),
  coalesce(sum(a.output_tokens), 0), coalesce(sum(a.reasoning_tokens), 0)
from batches b join jobs j on j.id between b.first_job_id and b.last_job_id and j.batch_id = b.id
join attempts a on a.job_id = j.id and a.fence = j.fence
where b.id = :batch_id"""
)


def add_order(connection: Connection, new: NewOrder) -> None:
    """Take an order; it is to be validated."""
    _add.run(
        connection,
        id=new.id,
        tenant_id=new.tenant_id,
        endpoint=new.endpoint,
        input_file_id=new.input_file_id,
        completion_window=new.completion_window,
        window_s=new.window_s,
        metadata=new.metadata,
        output_expires_s=new.output_expires_s,
    )


def order_of(connection: Connection, tenant_id: int, order_id: str) -> OrderRow | None:
    """Read a batch of a tenant; None: it has none of this id."""
    rows = _order.fetch(connection, id=order_id, tenant_id=tenant_id)
    return _row(rows[0]) if rows else None


def page_of_orders(
    connection: Connection, tenant_id: int, *, after: str = "", most: int
) -> list[OrderRow]:
    """List batches of a tenant, the newest first; those behind *after*, where it is named."""
    found = _page.fetch(connection, tenant_id=tenant_id, after=after, most=most)
    return [_row(row) for row in found]


def open_orders(connection: Connection) -> list[OrderRow]:
    """List what has not ended, of all tenants, the oldest first."""
    return [_row(row) for row in _open_ones.fetch(connection)]


def cancel_order(connection: Connection, tenant_id: int, order_id: str) -> bool:
    """Ask for the end of a batch. False: it ends already, or there is none."""
    return bool(_cancel.run(connection, id=order_id, tenant_id=tenant_id))


def begin_order(connection: Connection, order_id: str, batch_id: int) -> bool:
    """Say that it was found good, and is our batch *batch_id*."""
    return bool(_begin.run(connection, id=order_id, batch_id=batch_id))


def fail_order(connection: Connection, order_id: str, errors: str) -> bool:
    """Say that its file was refused, and why: JSON."""
    return bool(_fail.run(connection, id=order_id, errors=errors))


def finalize_order(connection: Connection, order_id: str, ends_as: Status) -> bool:
    """Say that nothing more of it is begun; its files are to be written."""
    return bool(_finalize.run(connection, id=order_id, ends_as=ends_as.value))


def end_order(
    connection: Connection,
    order_id: str,
    status: Status,
    *,
    output_file_id: str | None,
    error_file_id: str | None,
    usage: str,
) -> bool:
    """End it, with the files that there are and what was used: JSON. False: another one did."""
    return bool(
        _end.run(
            connection,
            id=order_id,
            status=status.value,
            output_file_id=output_file_id,
            error_file_id=error_file_id,
            usage=usage,
        )
    )


def counts_of(connection: Connection, batch_ids: Sequence[int]) -> Mapping[int, Counts]:
    """Count the jobs of batches; one that is not open yet has no counts."""
    rows = _counts.fetch(connection, {"ids": [(one,) for one in batch_ids]}) if batch_ids else []
    by_batch: dict[int, list[Any]] = {}
    for row in rows:
        by_batch.setdefault(row[0], []).append(row)
    return {batch_id: _counted(found) for batch_id, found in by_batch.items()}


def tokens_of(connection: Connection, batch_id: int) -> tuple[int, int, int, int]:
    """Add up the tokens of the answers: input, of these from a cache, output, of these reasoning.

    Reads every job of the batch.
    """
    row = _usage.fetch(connection, batch_id=batch_id)[0]
    return int(row[0]), int(row[1]), int(row[2]), int(row[3])


def _counted(rows: Sequence[Any]) -> Counts:
    jobs = dict.fromkeys(JobState, 0)
    for _, _, state, count in rows:
        jobs[JobState(state)] += count
    return Counts(
        total=sum(jobs.values()),
        completed=jobs[JobState.SUCCEEDED],
        failed=jobs[JobState.FAILED] + jobs[JobState.QUARANTINED],
        cancelled=jobs[JobState.CANCELLED],
        models=tuple(sorted({row[1] for row in rows})),
    )


def _row(row: Any) -> OrderRow:
    instants = [*map(known_instant, row[14:16]), *map(parse_instant, row[16:23])]
    return OrderRow(*[*row[:14], *instants, bool(row[23])])
