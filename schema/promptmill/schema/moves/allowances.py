"""Divide the budget of a tenant among its open batches, so that all of them together keep it.

Each open batch has a budget of its own: what it has used, and an equal part of what is left of the
tenant's. Batches that have ended keep what they used. So the budgets add up to the tenant's at
most, and each claim keeps that of its batch. A batch is opened with a budget of 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from promptmill.schema.moves.spending import set_budget
from promptmill.schema.statement import Statement


@dataclass(frozen=True, slots=True)
class Used:
    """What one batch of a tenant has used, in micro-dollars."""

    batch_id: int
    budget: int | None
    used: int
    """spent, reserved for open calls, or perhaps spent"""
    wanted: int | None
    """what a call needed that did not fit"""
    is_open: bool
    """something of it is left to do"""


_budgets = Statement(
    "select id, budget_micros from tenants where budget_micros is not null order by id"
)
# Nobody claims of these batches until the end of the transaction.
_lock = Statement(
    """
select s.batch_id from batch_spending s join batches b on b.id = s.batch_id
where b.tenant_id = :tenant_id order by s.batch_id for update of s"""
)
_used = Statement(
    """
select b.id, b.budget_micros,
  coalesce(s.spent_micros + s.reserved_micros + s.unknown_micros,
    (select cast(coalesce(sum(u.cost_micros), 0) as bigint) from usage_hourly u
      where u.batch_id = b.id)),
  s.wanted_micros,
  b.state in ('open', 'paused') and exists (select 1 from batch_counts c
    where c.batch_id = b.id and c.state < 4 and c.jobs > 0)
from batches b left join batch_spending s on s.batch_id = b.id
where b.tenant_id = :tenant_id and b.state <> 'loading' order by b.id"""
)


def tenant_budgets(connection: Connection) -> list[tuple[int, int]]:
    """List the tenants that have a budget, and the budget."""
    return [(row[0], row[1]) for row in _budgets.fetch(connection)]


def left_of(connection: Connection, tenant_id: int) -> int | None:
    """Tell what a tenant's batches may still cost; None: it has no budget."""
    budget = dict(tenant_budgets(connection)).get(tenant_id)
    if budget is None:
        return None
    return max(0, budget - sum(one.used for one in used_by(connection, tenant_id)))


def divide_anew(connection: Connection, tenant_id: int) -> None:
    """Divide the budget of a tenant, if it has one, since it has another batch."""
    budget = dict(tenant_budgets(connection)).get(tenant_id)
    if budget is not None:
        divide_budget(connection, tenant_id, budget)


def is_to_divide(connection: Connection, tenant_id: int, budget: int) -> bool:
    """Tell whether `divide_budget` would change anything. Holds nobody up."""
    return bool(parts_of(budget, used_by(connection, tenant_id)))


def divide_budget(connection: Connection, tenant_id: int, budget: int) -> int:
    """Give each open batch of a tenant its part; return how many got another than they had."""
    if connection.dialect.name != "sqlite":
        _lock.fetch(connection, tenant_id=tenant_id)
    parts = parts_of(budget, used_by(connection, tenant_id))
    for batch_id, micros in parts:
        set_budget(connection, batch_id, micros)
    return len(parts)


def lift_budgets(connection: Connection, tenant_id: int) -> None:
    """Let the open batches of a tenant cost anything: it has no budget any more."""
    for one in used_by(connection, tenant_id):
        if one.is_open:
            set_budget(connection, one.batch_id, None)


def used_by(connection: Connection, tenant_id: int) -> list[Used]:
    """Read what each batch of a tenant has used."""
    rows = _used.fetch(connection, tenant_id=tenant_id)
    return [Used(*[*row[:4], bool(row[4])]) for row in rows]


def parts_of(budget: int, batches: Sequence[Used]) -> list[tuple[int, int]]:
    """Say (batch, its part), for those whose part is to change.

    None changes while what is not given out is little and every batch has what its next call needs.
    """
    open_ones = [one for one in batches if one.is_open]
    if not open_ones:
        return []
    ended = sum(one.used for one in batches if not one.is_open)
    free = budget - ended - sum(max(one.budget or 0, one.used) for one in open_ones)
    if 0 <= free <= budget // 100 and not any(_is_short(one) for one in open_ones):
        return []
    part = max(0, budget - sum(one.used for one in batches)) // len(open_ones)
    return [(one.batch_id, one.used + part) for one in open_ones if one.budget != one.used + part]


def _is_short(one: Used) -> bool:
    return not one.budget or (one.wanted is not None and one.budget - one.used < one.wanted)
