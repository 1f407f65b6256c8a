"""Divide the budget of a tenant among its open batches, so that all of them together keep it.

Each open batch has a budget of its own: what it has used, and an equal part of what is left of the
tenant's. Batches that have ended keep what they used; once that is `carried`, they are not read any
more. So the budgets add up to the tenant's at most, and each claim keeps that of its batch. A batch
is opened with a budget of 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from promptmill.schema.connection import Connection
from promptmill.schema.moves.carrying import hold_tenant
from promptmill.schema.moves.spending import set_budgets
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


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands, in micro-dollars."""

    budget: int | None
    carried: int
    """what its carried batches used"""
    batches: Sequence[Used]
    """all others: those that are open, and those that ended a moment ago"""

    @property
    def left(self) -> int | None:
        """What its batches may still cost; None: it has no budget."""
        if self.budget is None:
            return None
        return max(0, self.budget - self.carried - sum(one.used for one in self.batches))

    @property
    def new_parts(self) -> dict[int, int]:
        """The budgets of its open batches that are to change."""
        if self.budget is None:
            return {}
        return dict(parts_of(self.budget - self.carried, self.batches))


_with_budget = Statement("select id from tenants where budget_micros is not null order by id")
# Nobody claims of these batches until the end of the transaction.
_hold_open = Statement(
    """
select b.id from batches b join batch_spending s on s.batch_id = b.id
where b.tenant_id = :tenant_id and b.carried is null and b.state in ('open', 'paused')
order by b.id for update of b, s"""
)
_standing = Statement(
    """
select t.budget_micros, coalesce(p.carried_micros, 0), b.id, b.budget_micros,
  coalesce(s.spent_micros + s.reserved_micros + s.unknown_micros,
    (select cast(coalesce(sum(u.cost_micros), 0) as bigint) from usage_hourly u
      where u.batch_id = b.id)),
  s.wanted_micros,
  b.state in ('open', 'paused') and exists (select 1 from batch_counts c
    where c.batch_id = b.id and c.state < 4 and c.jobs > 0)
from tenants t left join tenant_spending p on p.tenant_id = t.id
left join batches b on b.tenant_id = t.id and b.carried is null and b.state <> 'loading'
left join batch_spending s on s.batch_id = b.id
where t.id = :tenant_id order by b.id"""
)


def tenants_with_budget(connection: Connection) -> list[int]:
    """List the tenants that have a budget."""
    return [row[0] for row in _with_budget.fetch(connection)]


def standing_of(connection: Connection, tenant_id: int) -> Standing:
    """Read how a tenant stands, all as of one moment. Holds nobody up."""
    rows = _standing.fetch(connection, tenant_id=tenant_id)
    batches = [Used(*[*row[2:6], bool(row[6])]) for row in rows if row[2] is not None]
    return Standing(rows[0][0], rows[0][1], batches)


def divide_budget(connection: Connection, tenant_id: int) -> int:
    """Give each open batch of a tenant its part; return how many got another than they had.

    0 also where it has no budget.
    """
    hold_tenant(connection, tenant_id)
    if connection.dialect.name != "sqlite":
        _hold_open.fetch(connection, tenant_id=tenant_id)
    parts = standing_of(connection, tenant_id).new_parts
    if parts:
        set_budgets(connection, parts)
    return len(parts)


def lift_budgets(connection: Connection, tenant_id: int) -> None:
    """Let the open batches of a tenant cost anything: it has no budget any more."""
    batches = standing_of(connection, tenant_id).batches
    set_budgets(connection, {one.batch_id: None for one in batches if one.is_open})


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
