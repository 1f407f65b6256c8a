"""Let jobs that wait for a paused provider fall back to another model. What runs is left alone.

A job whose own reply sends it on is moved by its worker, as it ends the attempt (`closing`).
"""

from dataclasses import dataclass

from promptmill.schema.connection import Connection
from promptmill.schema.fallbacks import Rules, read_rules
from promptmill.schema.statement import Statement
from promptmill.schema.stretch import stretch

_OURS_S = 2 * 86_400.0
"""A longer wait is of one that waits for something else than its time: a twin."""

# What is made in the background by the provider is waited for.
_FREE = """coalesce({0}.fell_back_from, :here) = :asked
    and not exists (select 1 from background_responses r where r.job_id = {0}.id)"""
# The oldest first, and a retry whose time has not come too. One branch a state, for its own index.
_pending = stretch(f"p.state = 0 and {_FREE.format('p')}", "id", job="p")
_waiting = stretch(
    f"w.state = 3 and w.twin_of is null and {_FREE.format('w')}",
    "run_at",
    job="w",
    bound="< {after:cast(:ours_s as float)}",
)
_reroute = {
    dialect: Statement(
        f"""
update jobs set provider = :to_provider, model = :to_model, state = 0, run_at = null, pool = null,
  fell_back_from = coalesce(fell_back_from, provider || '/' || model)
where state in (0, 3) and twin_of is null and id in (
  select id from (select p.id from jobs p {pending} limit :most) as pending
  union all
  select id from (select w.id from jobs w {_waiting[dialect]} limit :most) as waiting
  limit :most)
  and exists (select 1 from batches b where b.id = :batch_id and b.state = 'open')""",
        in_order=True,
    )
    for dialect, pending in _pending.items()
}
_ruled = Statement(
    """
select b.id, b.fallbacks, coalesce(b.deadline_at < {after:cast(:near_s as float)}, false)
from batches b where b.state = 'open' and b.carried is null and b.fallbacks is not null
  and exists (select 1 from batch_counts c where c.batch_id = b.id and c.state in (0, 3)
    and c.jobs > 0) order by b.id"""
)


@dataclass(frozen=True, slots=True)
class Ruled:
    """A batch that has fallbacks."""

    id: int
    rules: Rules
    is_late: bool = False
    """its deadline is near, or over"""


@dataclass(frozen=True, slots=True)
class Detour:
    """From which model jobs of a batch go to which; each as `provider/model`."""

    batch_id: int
    asked: str
    """first, of the jobs that are meant"""
    now: str
    to: str


def ruled_batches(connection: Connection, *, near_s: float) -> list[Ruled]:
    """List the open batches that have something to be asked, and fallbacks: by id."""
    return [
        Ruled(row[0], read_rules(row[1]), bool(row[2]))
        for row in _ruled.fetch(connection, near_s=near_s)
    ]


def reroute(connection: Connection, detour: Detour, *, most: int) -> int:
    """Move a chunk of a batch's jobs that nobody works on; return how many."""
    provider, _, model = detour.now.partition("/")
    to_provider, _, to_model = detour.to.partition("/")
    return _reroute[connection.dialect.name].run(
        connection,
        batch_id=detour.batch_id,
        provider=provider,
        model=model,
        asked=detour.asked,
        here=detour.now,
        to_provider=to_provider,
        to_model=to_model,
        ours_s=_OURS_S,
        most=most,
    )
