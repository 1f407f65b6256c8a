"""Put jobs into the lane, let them go to be asked live, and take them into a provider batch."""

from collections.abc import Sequence

from sqlalchemy import Connection

from promptmill.schema.hint import Hint
from promptmill.schema.lanes import IN_LANE, LANE_AT, REVISION, Lane
from promptmill.schema.moves.claiming import LANED, Reservations, claim
from promptmill.schema.moves.queueing import IS_OPEN
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.stretch import stretch

_CHOSEN = RowSet("chosen", (Column("id", "bigint"),))
# From the end: live jobs go by age, so the last are those that would wait longest.
_set_aside = {
    dialect: Statement(
        f"""
update jobs set state = 3, run_at = {LANE_AT}
where +state = 0 and id in (select id from jobs {rows} limit :most)""",
        in_order=True,
    )
    for dialect, rows in stretch(f"state = 0 and {IS_OPEN}", "id", last_first=True).items()
}
_set_these_aside = Statement(
    f"""
update jobs set state = 3, run_at = {LANE_AT} from {{chosen}}
where jobs.id = chosen.id and +jobs.state = 0
  and exists (select 1 from batches b where b.id = jobs.batch_id and b.state = 'open')""",
    _CHOSEN,
)
_let_go = Statement(
    f"""
update jobs set run_at = {{now}}
where +state = 3 and run_at = {LANE_AT} and id in (select id from jobs
  where batch_id = :batch_id and {IN_LANE} order by provider, model, id limit :most)""",
    in_order=True,
)
_let_these_go = Statement(
    f"""
update jobs set run_at = {{now}} from {{chosen}}
where jobs.id = chosen.id and +jobs.state = 3 and jobs.run_at = {LANE_AT}""",
    _CHOSEN,
)
_set_lane = Statement(
    """
update batches set lane = :lane, deadline_at = {after:cast(:deadline_s as float)}
where id = :batch_id"""
)

_stop_older = Statement("update revisions set works_from = :revision where works_from < :revision")


def set_aside(
    connection: Connection, *, batch_id: int, provider: str, model: str, most: int
) -> int:
    """Put the last pending jobs of one scope of an open batch into the lane; count them."""
    statement = _set_aside[connection.dialect.name]
    return statement.run(connection, batch_id=batch_id, provider=provider, model=model, most=most)


def set_these_aside(connection: Connection, job_ids: Sequence[int]) -> int:
    """Put those of some jobs that are pending, of open batches, into the lane; count them."""
    return _set_these_aside.run(connection, {"chosen": [(job_id,) for job_id in job_ids]})


def let_go(connection: Connection, batch_id: int, *, most: int) -> int:
    """Let jobs of a batch that are in the lane, and in no provider batch, be asked live."""
    return _let_go.run(connection, batch_id=batch_id, most=most)


def let_these_go(connection: Connection, job_ids: Sequence[int]) -> int:
    """Let some jobs of the lane be asked live."""
    return _let_these_go.run(connection, {"chosen": [(job_id,) for job_id in job_ids]})


def take(
    connection: Connection,
    jobs: Sequence[tuple[Hint, str]],
    *,
    provider_batch: str,
    reservations: Reservations,
) -> dict[int, int]:
    """Claim jobs of the lane for a provider batch, as `claiming.claim` does for a worker."""
    return claim(connection, jobs, worker_id=provider_batch, reservations=reservations, due=LANED)


def set_lane(
    connection: Connection, batch_id: int, lane: Lane, *, deadline_s: float | None
) -> None:
    """Change how a batch is asked, and when it is to be answered, in seconds from now."""
    stop_older(connection, lane)
    _set_lane.run(connection, batch_id=batch_id, lane=lane, deadline_s=deadline_s)


def stop_older(connection: Connection, lane: Lane) -> None:
    """Let no release work on that knows of no lane, from the first batch on that is not live."""
    if lane is not Lane.LIVE:
        _stop_older.run(connection, revision=REVISION)
