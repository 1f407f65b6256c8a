"""The waiting jobs of a scope whose time has come, those that are due longest first, in SQL.

They are read in the order of time. Where a batch is held, by a pause say, a million of its jobs may
be due and stand in front: then the first of each open batch are read, and put in order.

Those of one batch have an index of their own. Where PostgreSQL's statistics know of few that wait,
as right after a load, it would read the index of all batches, which has that order too. So there
they are asked for as the rows between two rows, in an order that only the batch's index has.
"""

from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Statement


def first_of_batch(batch: str, until: str, *, only: str = "") -> dict[str, str]:
    """Write for each engine what follows `from jobs w`: what of a batch and scope waits, by time.

    *batch*, *until* (the last `run_at`) and *only* (a condition) are SQL.
    """
    sqlite = f"""w.batch_id = {batch} and w.provider = :provider and w.model = :model
    and w.run_at <= {until} {only} order by w.run_at"""
    postgresql = f"""(w.batch_id, w.provider, w.model) >= ({batch}, :provider, :model)
    and (w.batch_id, w.provider, w.model, w.run_at) <= ({batch}, :provider, :model, {until})
    {only} order by w.batch_id, w.provider, w.model, w.run_at"""
    return {
        dialect: f"where w.state = 3 and {rows} limit :most"
        for dialect, rows in {"sqlite": sqlite, "postgresql": postgresql}.items()
    }


_SCOPED = "{0}.provider = :provider and {0}.model = :model and {0}.state = 3"
_DUE = f"{_SCOPED.format('w')} and w.run_at <= {{now}}"
# `cross join`, or SQLite would look at all that is due for each open batch.
_BY_TIME = f"""select w.id from jobs w cross join batches b
  where b.id = w.batch_id and b.state = 'open' and {_DUE}
  order by w.run_at limit :most"""
_OPEN = f"""b.state = 'open' and b.carried is null and c.batch_id = b.id and c.jobs > 0
  and {_SCOPED.format("c")}"""
_OF_ONE = first_of_batch("b.id", "{now}")
_BY_BATCH = {
    "sqlite": f"""select j.id from batches b cross join batch_counts c cross join jobs j
  where {_OPEN} and j.id in (select w.id from jobs w {_OF_ONE["sqlite"]})
  order by j.run_at limit :most""",
    "postgresql": f"""select j.id from batches b cross join batch_counts c
  cross join lateral (select w.id, w.run_at from jobs w {_OF_ONE["postgresql"]}) j
  where {_OPEN} order by j.run_at limit :most""",
}
_held = Statement(
    f"""
select 1 from batches b cross join batch_counts c
where b.state in ('paused', 'cancelled') and b.carried is null and c.batch_id = b.id
  and c.jobs > 0 and {_SCOPED.format("c")} limit 1"""
)


class FirstDue:
    """A statement about the first due jobs of a scope; where it says `{due}`, their ids are."""

    def __init__(self, sql: str) -> None:
        self._by_time = Statement(sql.replace("{due}", _BY_TIME), in_order=True)
        self._by_batch = {
            dialect: Statement(sql.replace("{due}", due), in_order=True)
            for dialect, due in _BY_BATCH.items()
        }

    def fetch(
        self, connection: Connection, *, provider: str, model: str, most: int, **values: Any
    ) -> list[Any]:
        """Run it about *most* jobs; return the rows it selected or changed."""
        held = _held.fetch(connection, provider=provider, model=model)
        first = self._by_batch[connection.dialect.name] if held else self._by_time
        return first.fetch(connection, provider=provider, model=model, most=most, **values)
