"""The waiting jobs of a scope whose time has come, those that are due longest first, in SQL.

They are read in the order of time. Where a batch is held, by a pause say, a million of its jobs may
be due and stand in front: then the first of each open batch are read, and put in order.
"""

from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Statement
from promptmill.schema.stretch import stretch

_SCOPED = "{0}.provider = :provider and {0}.model = :model and {0}.state = 3"
_DUE = f"{_SCOPED.format('w')} and w.run_at <= {{now}}"
# `cross join`, or SQLite would look at all that is due for each open batch.
_BY_TIME = f"""select w.id from jobs w cross join batches b
  where b.id = w.batch_id and b.state = 'open' and {_DUE}
  order by w.run_at limit :most"""
_OPEN = f"""b.state = 'open' and b.carried is null and c.batch_id = b.id and c.jobs > 0
  and {_SCOPED.format("c")}"""
_OF_ONE = {
    dialect: f"from jobs w {rows} limit :most"
    for dialect, rows in stretch(
        "w.state = 3", "run_at", job="w", batch="b.id", bound="<= {now}"
    ).items()
}
_BY_BATCH = {
    "sqlite": f"""select j.id from batches b cross join batch_counts c cross join jobs j
  where {_OPEN} and j.id in (select w.id {_OF_ONE["sqlite"]})
  order by j.run_at limit :most""",
    "postgresql": f"""select j.id from batches b cross join batch_counts c
  cross join lateral (select w.id, w.run_at {_OF_ONE["postgresql"]}) j
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
