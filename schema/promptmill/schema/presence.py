"""Who is there: workers with their beats, and which process leads.

A beat is a number that its owner raises. Whether it stands still is judged by each observer on its
own monotonic clock, so no wall clock decides that somebody is dead.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Statement


class WorkerSeen(msgspec.Struct, frozen=True):
    """A worker as its row tells."""

    id: str
    host: str
    pid: int
    keys: Mapping[str, str]
    """provider to the fingerprint of its key; '-' for none"""
    concurrency: int
    beat: int
    in_hand: Sequence[int]
    """ids of jobs whose hints it holds and has not claimed"""


NO_KEY = "-"
"""The fingerprint of a worker that has no key for a provider."""

_register = Statement(
    """
insert into workers (id, host, pid, version, keys, concurrency, started_at, beat_at, in_hand)
values (:id, :host, :pid, :version, {json::keys}, :concurrency, {now}, {now}, {json:'[]'})"""
)
_beat = Statement(
    "update workers set beat = beat + 1, beat_at = {now}, in_hand = {json::in_hand}"
    " where id = :id and stopped_at is null"
)
_stop = Statement(
    "update workers set stopped_at = {now}, in_hand = {json:'[]'}"
    " where id = :id and stopped_at is null"
)
_declare_dead = Statement(
    "update workers set stopped_at = {now}, in_hand = {json:'[]'}"
    " where id = :id and beat = :beat and stopped_at is null"
)
_live = Statement(
    "select id, host, pid, keys, concurrency, beat, in_hand from workers where stopped_at is null"
)
_orphaned = Statement(
    """
select distinct j.lease_owner from jobs j where j.state = 2 and not exists
  (select 1 from workers w where w.id = j.lease_owner and w.stopped_at is null)
  and not exists (select 1 from provider_batches p
    where p.id = j.lease_owner and p.ended_at is null)"""
)
_leader = Statement("select owner, beat from leaders where role = :role")
_seize = Statement(
    """
insert into leaders (role, owner, beat, taken_at) values (:role, :owner, 0, {now})
on conflict (role) do update set owner = excluded.owner, beat = leaders.beat + 1, taken_at = {now}
where leaders.owner = :seen_owner and leaders.beat = :seen_beat"""
)
_lead = Statement("update leaders set beat = beat + 1 where role = :role and owner = :owner")
_resign = Statement("delete from leaders where role = :role and owner = :owner")


def register_worker(
    connection: Connection,
    *,
    worker_id: str,
    host: str,
    pid: int,
    version: str,
    keys: Mapping[str, str],
    concurrency: int,
) -> None:
    """Make the row of a worker that starts."""
    _register.run(
        connection,
        id=worker_id,
        host=host,
        pid=pid,
        version=version,
        keys=json.dumps(dict(keys)),
        concurrency=concurrency,
    )


def beat(connection: Connection, worker_id: str, in_hand: Sequence[int]) -> bool:
    """Raise the worker's beat and tell what it holds. False: it was declared dead; start anew."""
    return bool(_beat.run(connection, id=worker_id, in_hand=json.dumps(list(in_hand))))


def stop_worker(connection: Connection, worker_id: str) -> None:
    """Say goodbye."""
    _stop.run(connection, id=worker_id)


def declare_dead(connection: Connection, worker_id: str, *, beat: int) -> bool:
    """End a worker whose beat is still the one that was seen. False: it moved after all."""
    return bool(_declare_dead.run(connection, id=worker_id, beat=beat))


def live_workers(connection: Connection) -> list[WorkerSeen]:
    """List the workers that have not stopped, dead ones among them until they are declared so."""
    return [
        WorkerSeen(row[0], row[1], row[2], _loaded(row[3]), row[4], row[5], _loaded(row[6]))
        for row in _live.fetch(connection)
    ]


def orphaned_owners(connection: Connection) -> list[str]:
    """List stopped workers that still own running jobs, and provider batches that have ended."""
    return [row[0] for row in _orphaned.fetch(connection)]


def leader_of(connection: Connection, role: str) -> tuple[str, int] | None:
    """Tell who leads *role*, and its beat."""
    rows = _leader.fetch(connection, role=role)
    return (rows[0][0], rows[0][1]) if rows else None


def seize_lead(
    connection: Connection, role: str, *, owner: str, seen: tuple[str, int] | None
) -> bool:
    """Take the lead if it is free, or still as *seen* (owner, beat)."""
    seen_owner, seen_beat = seen or ("", -1)
    found = _seize.run(
        connection, role=role, owner=owner, seen_owner=seen_owner, seen_beat=seen_beat
    )
    return bool(found)


def keep_lead(connection: Connection, role: str, *, owner: str) -> bool:
    """Raise the leader's beat. False: somebody else leads now."""
    return bool(_lead.run(connection, role=role, owner=owner))


def resign_lead(connection: Connection, role: str, *, owner: str) -> None:
    """Give up the lead, so that the next one need not wait."""
    _resign.run(connection, role=role, owner=owner)


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
