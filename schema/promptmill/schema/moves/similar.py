"""What was asked, as vectors, so that a job may take the answer to a request that is similar."""

from collections.abc import Sequence
from typing import NamedTuple

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Column, RowSet, Statement


class NewEntry(NamedTuple):
    """A job that is about to be asked."""

    job_id: int
    scope: str
    """hash of all that must be equal: model, system message, parameters, …"""
    vector_base64: str


class Entry(NamedTuple):
    """A job that was asked, or will be."""

    id: int
    job_id: int
    vector_base64: str


_ENTRIES = RowSet(
    "entries",
    (Column("job_id", "bigint"), Column("scope", "text"), Column("vector_base64", "text")),
)
_remember = Statement(
    """
insert into similar_entries (job_id, scope, vector_base64, made_at)
select entries.job_id, entries.scope, entries.vector_base64, {now} from {entries}
where true on conflict (job_id) do nothing""",
    _ENTRIES,
)
_ASKED = RowSet("asked", (Column("job_id", "bigint"), Column("scope", "text")))
_kept = Statement(
    """
select e.job_id, e.vector_base64 from {asked} join similar_entries e
on e.job_id = asked.job_id and e.scope = asked.scope""",
    _ASKED,
)
_newest = Statement(
    """
select id, job_id, vector_base64 from similar_entries where scope = :scope and id > :after
order by id desc limit :most"""
)


def remember(connection: Connection, entries: Sequence[NewEntry]) -> None:
    """Keep what is about to be asked."""
    _remember.run(connection, {"entries": entries})


def newest_entries(connection: Connection, scope: str, *, after: int, most: int) -> Sequence[Entry]:
    """List the newest entries of *scope* with ids above *after*, the newest first."""
    return [Entry(*row) for row in _newest.fetch(connection, scope=scope, after=after, most=most)]


def kept_vectors(connection: Connection, asked: Sequence[tuple[int, str]]) -> dict[int, str]:
    """Find the vectors, in base64, of those of *asked*, (job, scope), that were kept before."""
    return {row[0]: row[1] for row in _kept.fetch(connection, {"asked": asked})}
