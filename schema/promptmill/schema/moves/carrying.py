"""Mark batches that have ended, and add up what they used, so that nobody has to read them again.

A batch that has ended is carried: it is marked, and where it is a tenant's, what it used is in the
sum of that. What changes of it later, by a late answer say, a trigger carries. Another one takes
back what is carried of a batch of which a job is done again, whoever orders that.

Whoever needs several locks takes them in this order: the tenant, its batches, their spending, its
sum.
"""

from collections.abc import Sequence

from promptmill.schema.connection import Connection
from promptmill.schema.moves.spending import catch_up
from promptmill.schema.statement import Column, RowSet, Statement

_USED = "s.spent_micros + s.reserved_micros + s.unknown_micros"
# A count, since of a `not exists` PostgreSQL may make a join with the counters of all batches.
_ENDED = """b.carried is null and b.state <> 'loading' and 0 = (
    select count(*) from batch_counts c where c.batch_id = b.id and c.state < 4 and c.jobs > 0)"""
_tenants = Statement(
    f"select distinct b.tenant_id from batches b where b.tenant_id is not null and {_ENDED}"
    " order by b.tenant_id"
)
_hold_tenant = Statement("select id from tenants where id = :tenant_id for update")
_ended = f"""
select b.id from batches b where b.tenant_id = :tenant_id and {_ENDED} order by b.id limit :most"""
_find = Statement(_ended)
_find_and_hold = Statement(f"{_ended} for update of b")
_IDS = RowSet("ended", (Column("batch_id", "bigint"),))
_ended_of_nobody = Statement(
    "select b.id from batches b where b.state in ('open', 'paused', 'cancelled')"
    f" and b.tenant_id is null and {_ENDED} order by b.id limit :most"
)
_hold = Statement(
    "select b.id from {ended} join batches b on b.id = ended.batch_id order by b.id"
    " for update of b",
    _IDS,
)
_hold_spending = Statement(
    "select s.batch_id from {ended} join batch_spending s on s.batch_id = ended.batch_id"
    " order by s.batch_id for update of s",
    _IDS,
)
# The budget of a tenant's goes with it: it has what it used, and is given no more before the next
# division.
_OWN_USE = f"(select {_USED} from batch_spending s where s.batch_id = batches.id)"
_mark = Statement(
    f"""
update batches set carried = 1,
  budget_micros = case when tenant_id is null then budget_micros
    when budget_micros is not null then {_OWN_USE} end
where id in (select b.id from {{ended}} join batches b on b.id = ended.batch_id where {_ENDED})
returning id""",
    _IDS,
)
_add = Statement(
    f"""
insert into tenant_spending (tenant_id, carried_micros)
select :tenant_id, cast(coalesce(sum({_USED}), 0) as bigint)
from {{ended}} join batch_spending s on s.batch_id = ended.batch_id
where true on conflict (tenant_id)
  do update set carried_micros = tenant_spending.carried_micros + excluded.carried_micros""",
    _IDS,
)


def hold_tenant(connection: Connection, tenant_id: int) -> None:
    """Keep all others from carrying and dividing for a tenant until the end of the transaction."""
    if connection.dialect.name != "sqlite":  # which has one writer anyway
        _hold_tenant.fetch(connection, tenant_id=tenant_id)


def tenants_to_carry(connection: Connection) -> list[int]:
    """List the tenants of whom a batch has ended that is not carried yet."""
    return [row[0] for row in _tenants.fetch(connection)]


def carry(connection: Connection, tenant_id: int, *, most: int = 1000) -> int:
    """Carry batches of a tenant that have ended; return how many. Less than *most*: all."""
    hold_tenant(connection, tenant_id)
    finding = _find if connection.dialect.name == "sqlite" else _find_and_hold
    found = [row[0] for row in finding.fetch(connection, tenant_id=tenant_id, most=most)]
    catch_up(connection, found)
    if connection.dialect.name != "sqlite":  # no call of them is booked from here on
        _hold_spending.fetch(connection, _rows(found))
    # Now that they are held, a replay that committed meanwhile is seen.
    marked = [row[0] for row in _mark.fetch(connection, _rows(found))]
    if marked:
        _add.run(connection, _rows(marked), tenant_id=tenant_id)
    return len(found)


def ended_of_nobody(connection: Connection, *, most: int) -> list[int]:
    """List batches that are no tenant's, have ended, and are not marked yet."""
    return [row[0] for row in _ended_of_nobody.fetch(connection, most=most)]


def set_apart(connection: Connection, batch_ids: Sequence[int]) -> int:
    """Mark those of `ended_of_nobody` of which nothing is done again; return how many."""
    if connection.dialect.name != "sqlite":
        _hold.fetch(connection, _rows(batch_ids))
    return len(_mark.fetch(connection, _rows(batch_ids)))


def _rows(batch_ids: Sequence[int]) -> dict[str, list[tuple[int]]]:
    return {"ended": [(batch_id,) for batch_id in batch_ids]}
