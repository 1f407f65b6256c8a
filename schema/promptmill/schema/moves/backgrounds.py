"""Remember what a provider makes in the background, so that nobody buys it again.

The id is written under the fence, before anybody waits. It outlives the attempt: who claims the
job next asks for that response, and sends nothing.
"""

from promptmill.schema.connection import Connection
from promptmill.schema.statement import Statement

_keep = Statement(
    """
insert into background_responses (job_id, generation, response_id, begun_at)
select j.id, j.generation, :response_id, {now} from jobs j
where j.id = :job_id and j.fence = :fence and +j.state = 2
on conflict (job_id) do update set generation = excluded.generation,
  response_id = excluded.response_id, begun_at = excluded.begun_at"""
)
_forget = Statement(
    """
delete from background_responses where job_id = :job_id and response_id = :response_id
  and exists (select 1 from jobs j where j.id = :job_id and j.fence = :fence)"""
)
_known = Statement(
    """
select r.response_id from background_responses r
join jobs j on j.id = r.job_id and j.generation = r.generation where r.job_id = :job_id"""
)


def keep_response(connection: Connection, job_id: int, fence: int, response_id: str) -> None:
    """Remember the response that was begun under *fence*. May be repeated."""
    _keep.run(connection, job_id=job_id, fence=fence, response_id=response_id)


def forget_response(connection: Connection, job_id: int, fence: int, response_id: str) -> None:
    """Forget a response of which no answer comes: the next attempt asks anew."""
    _forget.run(connection, job_id=job_id, fence=fence, response_id=response_id)


def known_response(connection: Connection, job_id: int) -> str | None:
    """Return the response that was begun for this job since it was last begun anew."""
    found = _known.fetch(connection, job_id=job_id)
    return str(found[0][0]) if found else None
