"""What a batch may cost: set by a person, reserved by each claim, settled by each end.

`batch_spending` has one row for each batch with a budget. A claim adds what its calls can cost at
most, if that fits; the triggers on `attempts` move it on when a call ends: to what it cost, to
nothing where it cost nothing, or to `unknown` where nobody knows. In a transaction this row comes
last, so that it is locked for the shortest time, and always in the same order.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.money import dollars
from promptmill.schema.statement import Column, RowSet, Statement

BUDGET: Final = "budget"
"""How the reason of a pause by a budget begins."""


class Reservation(msgspec.Struct, frozen=True):
    """What a claim must find room for."""

    batch_id: int
    micros: int
    """the most that the call can cost"""


class Spending(msgspec.Struct, frozen=True):
    """What a batch has used of its budget, in micro-dollars."""

    budget: int | None
    spent: int
    reserved: int
    """for calls that are open"""
    unknown: int
    """kept for calls of which nobody knows what they cost"""
    wanted: int | None
    """what a call needed that did not fit"""

    @property
    def room(self) -> int | None:
        """What is left of the budget; None: there is none."""
        if self.budget is None:
            return None
        return self.budget - self.spent - self.reserved - self.unknown


ROOM: Final = "b.budget_micros - s.spent_micros - s.reserved_micros - s.unknown_micros"
"""What is left, in SQL over batches b and batch_spending s."""

_COLUMNS = "b.budget_micros, s.spent_micros, s.reserved_micros, s.unknown_micros, s.wanted_micros"
_BATCHES = RowSet("wanted", (Column("batch_id", "bigint"),))
_read = Statement(
    f"select b.id, {_COLUMNS} from {{wanted}} join batches b on b.id = wanted.batch_id"
    " join batch_spending s on s.batch_id = b.id",
    _BATCHES,
)
_reserve = Statement(
    """
update batch_spending set reserved_micros = reserved_micros + :micros,
  wanted_micros = case when :refused = 1 or wanted_micros > :least then :least
    else wanted_micros end
where batch_id = :batch_id and (:micros = 0 or spent_micros + reserved_micros + unknown_micros
  + :micros <= (select coalesce(b.budget_micros, 9223372036854775807) from batches b
    where b.id = batch_spending.batch_id))"""
)
_reserve_beside = Statement(
    """
update batch_spending set reserved_micros = reserved_micros + :micros
where batch_id = :batch_id and spent_micros + reserved_micros + unknown_micros + :micros
  <= (select coalesce(b.budget_micros, 9223372036854775807) from batches b
    where b.id = batch_spending.batch_id)"""
)
_begin = Statement("insert into batch_spending (batch_id) values (:batch_id)")
_catch_up = Statement(
    """
insert into batch_spending (batch_id, spent_micros)
select wanted.batch_id, (select cast(coalesce(sum(u.cost_micros), 0) as bigint)
  from usage_hourly u where u.batch_id = wanted.batch_id) from {wanted}
where true on conflict (batch_id) do nothing""",
    _BATCHES,
)
_forget = Statement("delete from batch_spending where batch_id = :batch_id")
_BUDGETS = RowSet("budgets", (Column("batch_id", "bigint"), Column("micros", "bigint")))
_set = Statement(
    "update batches set budget_micros = budgets.micros from {budgets}"
    " where batches.id = budgets.batch_id",
    _BUDGETS,
)
_want_nothing = Statement(
    f"""
update batch_spending set wanted_micros = null
where batch_id in (select b.id from {{budgets}} join batches b on b.id = budgets.batch_id
  join batch_spending s on s.batch_id = b.id
  where s.wanted_micros is not null and (b.budget_micros is null or s.wanted_micros <= {ROOM}))""",
    _BUDGETS,
)
_go_on = Statement(
    f"""
update batches set state = 'open', paused_reason = null
where id in (select budgets.batch_id from {{budgets}})
  and state = 'paused' and paused_reason like '{BUDGET}:%'
  and exists (select 1 from batch_spending s
    where s.batch_id = batches.id and s.wanted_micros is null)
returning id""",
    _BUDGETS,
)
_used_up = Statement(
    f"""
select b.id, {_COLUMNS} from batch_spending s cross join batches b
where s.wanted_micros > 0 and b.id = s.batch_id and b.state = 'open' and s.wanted_micros > {ROOM}
  and not exists (select 1 from batch_counts c where c.batch_id = b.id and c.state = 2
    and c.jobs > 0)
  and not exists (select 1 from embedder_calls e where e.batch_id = b.id and e.outcome = 0)
  and exists (select 1 from batch_counts c where c.batch_id = b.id and c.state in (0, 1, 3)
    and c.jobs > 0)
order by b.id"""
)
_pause = Statement(
    """
update batches set state = 'paused', paused_reason = :reason
where id = :batch_id and state = 'open' and budget_micros = :budget
  and exists (select 1 from batch_spending s where s.batch_id = batches.id
    and s.wanted_micros = :wanted)"""
)


def read_spending(connection: Connection, batch_ids: Collection[int]) -> dict[int, Spending]:
    """Read how the budgets of some batches stand; a batch that never had one is not in it."""
    rows = _read.fetch(connection, {"wanted": [(batch_id,) for batch_id in batch_ids]})
    return {row[0]: Spending(*row[1:]) for row in rows}


def reserve(
    connection: Connection, batch_id: int, *, taken: Sequence[int], refused: Sequence[int]
) -> bool:
    """Reserve for the calls *taken* of a batch, in micro-dollars each, if they fit.

    *refused* is what the calls need that were left out; it is remembered, until others need less.
    """
    changed = _reserve.run(
        connection,
        batch_id=batch_id,
        micros=sum(taken),
        refused=int(bool(refused)),
        least=max(1, min(refused or taken)),
    )
    return bool(changed)


def reserve_beside(connection: Connection, batch_id: int, micros: int) -> bool:
    """Reserve for a call that no job must have, if it fits; what does not fit is not remembered."""
    return bool(_reserve_beside.run(connection, batch_id=batch_id, micros=micros))


def begin_spending(connection: Connection, batch_id: int) -> None:
    """Count what a new batch costs."""
    _begin.run(connection, batch_id=batch_id)


def catch_up(connection: Connection, batch_ids: Collection[int]) -> None:
    """Count what these batches cost from now on, and what they have cost, if that is not done."""
    new = sorted(set(batch_ids) - read_spending(connection, batch_ids).keys())
    if not new:
        return
    if connection.dialect.name != "sqlite":
        # Or a call that ends now would be neither in the sum so far nor added to it.
        connection.exec_driver_sql("lock table usage_hourly in share mode")
    _catch_up.run(connection, {"wanted": [(batch_id,) for batch_id in new]})


def forget_spending(connection: Connection, batch_id: int) -> None:
    """Undo `begin_spending`, for a batch that is discarded."""
    _forget.run(connection, batch_id=batch_id)


def set_budget(connection: Connection, batch_id: int, micros: int | None) -> bool:
    """Set what a batch may cost in all, or None for no budget; it holds for every later claim.

    Returns whether it was paused by its budget and goes on now: its next call fits.
    """
    return bool(set_budgets(connection, {batch_id: micros}))


def set_budgets(connection: Connection, budgets: Mapping[int, int | None]) -> list[int]:
    """Set what some batches may cost, as `set_budget` does; return those that go on now."""
    catch_up(connection, budgets.keys())
    rows = {"budgets": sorted(budgets.items())}
    _set.run(connection, rows)
    _want_nothing.run(connection, rows)
    return [row[0] for row in _go_on.fetch(connection, rows)]


def pause_used_up(connection: Connection) -> list[tuple[int, str]]:
    """Pause the batches whose next call does not fit, and of which nothing runs any more.

    Returns (batch id, reason) of each.
    """
    paused = []
    for batch_id, *columns in _used_up.fetch(connection):
        spending = Spending(*columns)
        reason = _reason(spending)
        if _pause.run(
            connection,
            batch_id=batch_id,
            reason=reason,
            budget=spending.budget,
            wanted=spending.wanted,
        ):
            paused.append((batch_id, reason))
    return paused


def _reason(spending: Spending) -> str:
    unknown = f" and {dollars(spending.unknown)} perhaps" if spending.unknown else ""
    return (
        f"{BUDGET}: {dollars(spending.spent)}{unknown} of {dollars(spending.budget or 0)} spent,"
        f" and the next call may cost {dollars(spending.wanted or 0)}"
    )
