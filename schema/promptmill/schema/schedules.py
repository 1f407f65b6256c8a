"""What is submitted by the clock, and the batch of each time: one, whoever tries and how often.

A time is taken under a lease; a claim raises the fence, and the end must match it. A batch knows
its schedule and its time, and SQL lets only one of them be opened: so who died between opening it
and the end of the time is found out, also where the input has changed since.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.instants import iso, known_instant, parse_instant
from promptmill.schema.statement import Statement


class Overlap(StrEnum):
    """What to do at a time whose batch before is still open."""

    SKIP = "skip"
    ALLOW = "allow"


class Outcome(StrEnum):
    """What came of a time."""

    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    """the batch before was still open"""
    FAILED = "failed"
    """its input could not be submitted"""


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What is to be submitted when."""

    name: str
    cron: str
    timezone: str
    arguments: str
    """JSON: of `promptmill submit`, by their names"""
    overlap: Overlap
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """One, as it stands."""

    id: int
    name: str
    cron: str
    timezone: str
    arguments: str
    overlap: Overlap
    next_at: datetime
    paused_at: datetime | None
    last_at: datetime | None
    outcome: Outcome | None
    problem: str | None
    batch_id: int | None
    now: datetime
    """when it was read"""


@dataclass(frozen=True, slots=True)
class Tick:
    """A time of a schedule that is ours to work on."""

    schedule: Schedule
    fence: int

    @property
    def at(self) -> datetime:
        """The time."""
        return self.schedule.next_at


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a time."""

    outcome: Outcome
    problem: str | None = None
    batch_id: int | None = None


_ROW = """id, name, cron, timezone, cast(arguments as text), overlap, next_at, paused_at, last_at,
  outcome, problem, batch_id, {now}"""
_add = Statement(
    """
insert into schedules (name, cron, timezone, arguments, overlap, made_at, next_at)
values (:name, :cron, :timezone, {json::arguments}, :overlap, {now}, :next_at)
on conflict (name) do nothing"""
)
_all = Statement(f"select {_ROW} from schedules order by name")
_named = Statement(f"select {_ROW} from schedules where name = :name")
_remove = Statement("delete from schedules where name = :name")
_pause = Statement(
    "update schedules set paused_at = {now} where name = :name and paused_at is null"
)
_resume = Statement(
    "update schedules set paused_at = null, next_at = :next_at"
    " where name = :name and paused_at is not null"
)
_DUE = """
paused_at is null and next_at <= {now} and (leased_until is null or leased_until <= {now})"""
_is_due = Statement(f"select 1 from schedules where {_DUE} limit 1")
_claim = Statement(
    f"""
update schedules set fence = fence + 1, leased_until = {{after::lease_s}}
where {_DUE} and id in (select id from schedules where {_DUE} order by next_at, id limit 1)
returning {_ROW}, fence"""
)
_keep = Statement(
    "update schedules set leased_until = {after::lease_s} where id = :id and fence = :fence"
)
_end = Statement(
    """
update schedules set next_at = :next_at, last_at = :at, outcome = :outcome, problem = :problem,
  batch_id = coalesce(:batch_id, batch_id), leased_until = null
where id = :id and fence = :fence"""
)
_note = Statement(
    """
update schedules set last_at = :at, outcome = :outcome, problem = :problem,
  batch_id = coalesce(:batch_id, batch_id)
where id = :id"""
)
_count = Statement(
    """
select case when paused_at is not null then 'paused' when outcome = 'failed' then 'failing'
  else 'at_work' end as state, count(*)
from schedules group by 1"""
)
_batch_of = Statement(
    "select id from batches where schedule_id = :id and scheduled_at = :at and state <> 'loading'"
)
_unfinished = Statement(
    """
select b.id from batches b where b.schedule_id = :id and b.state in ('open', 'paused')
  and exists (select 1 from batch_counts c where c.batch_id = b.id and c.state < 4 and c.jobs > 0)
order by b.id desc limit 1"""
)


def add_schedule(connection: Connection, new: NewSchedule) -> bool:
    """Store a schedule. False: there is one of this name."""
    return bool(
        _add.run(
            connection,
            name=new.name,
            cron=new.cron,
            timezone=new.timezone,
            arguments=new.arguments,
            overlap=new.overlap.value,
            next_at=iso(new.next_at),
        )
    )


def all_schedules(connection: Connection) -> list[Schedule]:
    """List them by name."""
    return [_schedule(row) for row in _all.fetch(connection)]


def schedule_named(connection: Connection, name: str) -> Schedule | None:
    """Read the one of this name."""
    rows = _named.fetch(connection, name=name)
    return _schedule(rows[0]) if rows else None


def remove_schedule(connection: Connection, name: str) -> bool:
    """Submit it no more; its batches stay. False: there is none."""
    return bool(_remove.run(connection, name=name))


def pause_schedule(connection: Connection, name: str) -> bool:
    """Submit it no more until told. False: there is none at work."""
    return bool(_pause.run(connection, name=name))


def resume_schedule(connection: Connection, name: str, next_at: datetime) -> bool:
    """Go on at *next_at*: what would have been between is left out. False: it is not paused."""
    return bool(_resume.run(connection, name=name, next_at=iso(next_at)))


def is_tick_due(connection: Connection) -> bool:
    """Tell whether `claim_tick` would find something. Writes nothing."""
    return bool(_is_due.fetch(connection))


def claim_tick(connection: Connection, *, lease_s: float) -> Tick | None:
    """Take the time that has been due for longest, for *lease_s*."""
    rows = _claim.fetch(connection, lease_s=lease_s)
    return Tick(_schedule(rows[0]), rows[0][13]) if rows else None


def keep_tick(connection: Connection, tick: Tick, *, lease_s: float) -> bool:
    """Hold it for longer. False: another one has taken it, or its schedule is gone."""
    return bool(_keep.run(connection, id=tick.schedule.id, fence=tick.fence, lease_s=lease_s))


def end_tick(connection: Connection, tick: Tick, ended: Ended, *, next_at: datetime) -> bool:
    """Write what came of a time, and when the next one is. False: it is ours no more."""
    return bool(
        _end.run(
            connection,
            id=tick.schedule.id,
            fence=tick.fence,
            next_at=iso(next_at),
            at=iso(tick.at),
            outcome=ended.outcome.value,
            problem=ended.problem,
            batch_id=ended.batch_id,
        )
    )


def note_extra(connection: Connection, schedule_id: int, at: datetime, ended: Ended) -> None:
    """Write what came of a time that a person added; when the next one is stays."""
    _note.run(
        connection,
        id=schedule_id,
        at=iso(at),
        outcome=ended.outcome.value,
        problem=ended.problem,
        batch_id=ended.batch_id,
    )


def count_schedules(connection: Connection) -> dict[str, int]:
    """Count those at work, those that are paused, and those whose last time failed."""
    found = {state: int(count) for state, count in _count.fetch(connection)}
    return {state: found.get(state, 0) for state in ("at_work", "paused", "failing")}


def batch_of_tick(connection: Connection, schedule_id: int, at: datetime) -> int | None:
    """Find the batch of a time; None: it was not opened."""
    rows = _batch_of.fetch(connection, id=schedule_id, at=iso(at))
    return int(rows[0][0]) if rows else None


def unfinished_batch(connection: Connection, schedule_id: int) -> int | None:
    """Find the newest batch of a schedule that has something left to do."""
    rows = _unfinished.fetch(connection, id=schedule_id)
    return int(rows[0][0]) if rows else None


def _schedule(row: Any) -> Schedule:
    instants = (known_instant(row[6]), parse_instant(row[7]), parse_instant(row[8]))
    outcome = None if row[9] is None else Outcome(row[9])
    last = (outcome, row[10], row[11], known_instant(row[12]))
    return Schedule(*[*row[:5], Overlap(row[5]), *instants, *last])
