"""Read what jobs came to: answers in the order of the input, and why others have none.

The ids of a batch's jobs rise with its input, so a range of the primary key is the batch in order;
`+batch_id` keeps both engines from choosing an index that would have to be sorted.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.embeddings import embeddings_in
from promptmill.schema.instants import known_instant
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import FINAL_STATES, JobState


class AnswerFile(NamedTuple):
    """A file that came with an answer: an image, most often."""

    position: int
    """in the answer, from 0"""
    media_type: str
    bytes: int
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a job that ended came to: an answer, or why it has none."""

    job_id: int
    custom_id: str
    position: int
    """line of the input, from 1"""
    state: str
    """succeeded, failed, cancelled or quarantined"""
    provider: str
    model: str
    text: str | None
    tool_calls: Any
    """a list as OpenAI writes it, or None"""
    finish_reason: str | None
    response_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_micros: int | None
    """None: unknown"""
    latency_ms: int | None
    attempts: int
    error_kind: str | None
    error_code: str | None
    http_status: int | None
    error_text: str | None
    finished_at: datetime
    endpoint: str = "chat"
    """what was asked for: chat, responses, embeddings, images or moderations"""
    body_json: str | None = field(default=None, repr=False)
    """the provider's own answer as it came, where it is kept"""
    validity: str | None = None
    """of an answer that had to have a form: valid, invalid, repaired or unchecked"""
    problem: str | None = None
    """where and by which rule it has not"""
    files: tuple[AnswerFile, ...] = ()

    @property
    def body(self) -> Any:
        """The provider's own answer, read anew at each look; None where it is not kept."""
        return None if self.body_json is None else json.loads(self.body_json)

    @property
    def embeddings(self) -> list[list[float]]:
        """The vectors of an embeddings request, one an input, in the order of the inputs."""
        return [] if self.body_json is None else embeddings_in(self.body_json)

    @property
    def embedding(self) -> list[float] | None:
        """The first vector; None where there is none."""
        return next(iter(self.embeddings), None)


class JobSeen(NamedTuple):
    """Where a job is."""

    job_id: int
    state: int
    finished_at: Any
    """as the engine writes it, which sorts; None where it has not ended"""


class FailureGroup(msgspec.Struct, frozen=True):
    """Jobs of a batch that failed for the same reason."""

    state: str
    """failed or quarantined"""
    error_kind: str | None
    """None: it was given up without a try"""
    error_code: str | None
    jobs: int
    example: Result


_LOOK = 50_000
_COLUMNS = tuple(each.name for each in fields(Result) if each.name != "files")
"""that `_results` selects, in its order"""
_STATES = RowSet("wanted", (Column("state", "smallint"),))
_IDS = RowSet("chosen", (Column("id", "bigint"),))

# What an older release has opened, or is still loading, has to be looked for.
_span = Statement(
    """
select coalesce(first_job_id, (select min(id) from jobs where batch_id = :batch_id)),
  coalesce(last_job_id, (select max(id) from jobs where batch_id = :batch_id))
from batches where id = :batch_id"""
)
_ids = Statement(
    """
select j.id from jobs j
where j.id between :first and :last and +j.batch_id = :batch_id
  and j.state in (select wanted.state from {wanted})
order by j.id limit :most""",
    _STATES,
)
_states_above = Statement(
    """
select j.id, j.state, j.finished_at from jobs j
where j.id between :first and :last and +j.batch_id = :batch_id order by j.id limit :most"""
)
_states_of = Statement(
    "select j.id, j.state, j.finished_at from {chosen} join jobs j on j.id = chosen.id"
    " order by j.id",
    _IDS,
)
_results = Statement(
    """
select j.id as job_id, j.custom_id, j.position, j.state, j.provider, j.model, r.text, r.tool_calls,
  r.finish_reason, r.response_model, a.input_tokens, a.output_tokens, a.cost_micros, a.latency_ms,
  j.attempts, a.error_kind, a.error_code, a.http_status, a.error_text, j.finished_at,
  coalesce(b.endpoint, 'chat') as endpoint, cast(b.body as text) as body_json,
  c.validity, c.problem
from {chosen} join jobs j on j.id = chosen.id
left join results r on r.job_id = j.id
left join result_bodies b on b.job_id = j.id
left join result_checks c on c.job_id = j.id
left join attempts a on a.job_id = j.id and a.fence = coalesce(r.fence, j.fence)
where j.state >= 4
order by j.id""",
    _IDS,
)
_files = Statement(
    """
select f.job_id, f.position, f.media_type, f.bytes, f.sha256, f.path
from {chosen} join result_files f on f.job_id = chosen.id order by f.job_id, f.position""",
    _IDS,
)
_PATHS = RowSet("named", (Column("path", "text"),))
_in_use = Statement(
    "select distinct f.path from {named} join result_files f on f.path = named.path", _PATHS
)
# `limit 1` keeps PostgreSQL from reading all attempts there are, for a hash of them. `is not null`
# lets an index tell it all, where one page for each job would be read otherwise.
_LAST_ATTEMPT = {
    "sqlite": """left join attempts a
  on a.job_id = j.id and a.fence = j.fence and a.error_kind is not null""",
    "postgresql": """left join lateral (select error_kind, error_code from attempts
  where job_id = j.id and fence = j.fence and error_kind is not null limit 1) a on true""",
}
_failures = {
    dialect: Statement(
        f"""
select j.state, a.error_kind, a.error_code, count(*), min(j.id)
from (select id, state, fence from jobs where batch_id = :batch_id and state in (5, 7)
  order by id limit :look) j
{last_attempt}
group by j.state, a.error_kind, a.error_code order by count(*) desc, min(j.id) limit :most"""  # noqa: S608
    )
    for dialect, last_attempt in _LAST_ATTEMPT.items()
}


def job_span(connection: Connection, batch_id: int) -> tuple[int, int] | None:
    """Tell the first and the last job id of a batch. Other batches may have ids in between."""
    found = _span.fetch(connection, batch_id=batch_id)
    return (int(found[0][0]), int(found[0][1])) if found and found[0][0] is not None else None


def ended_jobs(
    connection: Connection,
    batch_id: int,
    *,
    span: tuple[int, int],
    states: Collection[JobState] = FINAL_STATES,
    most: int,
) -> list[int]:
    """List the first jobs of a batch, from those in *span*, that are in *states*: by id."""
    rows = _ids.fetch(
        connection,
        {"wanted": [(int(state),) for state in sorted(states)]},
        batch_id=batch_id,
        first=span[0],
        last=span[1],
        most=most,
    )
    return [row[0] for row in rows]


def job_states(
    connection: Connection, batch_id: int, *, span: tuple[int, int], most: int
) -> list[JobSeen]:
    """Look at the first jobs of a batch, from those in *span*, by id."""
    rows = _states_above.fetch(
        connection, batch_id=batch_id, first=span[0], last=span[1], most=most
    )
    return [JobSeen(*row) for row in rows]


def states_of(connection: Connection, job_ids: Iterable[int]) -> list[JobSeen]:
    """Look at these jobs, by id."""
    rows = _states_of.fetch(connection, {"chosen": [(job_id,) for job_id in job_ids]})
    return [JobSeen(*row) for row in rows]


def results_of(connection: Connection, job_ids: Iterable[int]) -> list[Result]:
    """Read those of these jobs that have ended, by id."""
    rows = _results.fetch(connection, {"chosen": [(job_id,) for job_id in job_ids]})
    found = [_result(row) for row in rows]
    files = _files_of(connection, [one.job_id for one in found if one.body_json is not None])
    return [replace(one, files=files[one.job_id]) if one.job_id in files else one for one in found]


def files_in_use(connection: Connection, paths: Iterable[str]) -> set[str]:
    """Tell which of these files an answer has."""
    rows = _in_use.fetch(connection, {"named": [(path,) for path in paths]})
    return {row[0] for row in rows}


def failures_of(connection: Connection, batch_id: int, *, most: int = 20) -> list[FailureGroup]:
    """Group the failed and quarantined jobs of a batch by reason, the most frequent first.

    Of more than 50,000 the first of the input are looked at, so that the answer comes at once.
    """
    failures = _failures[connection.dialect.name]
    groups = failures.fetch(connection, batch_id=batch_id, most=most, look=_LOOK)
    examples = {one.job_id: one for one in results_of(connection, [row[4] for row in groups])}
    return [
        FailureGroup(JobState(state).word, kind, code, int(jobs), examples[example])
        for state, kind, code, jobs, example in groups
    ]


def _files_of(connection: Connection, job_ids: Sequence[int]) -> dict[int, tuple[AnswerFile, ...]]:
    """Read the files of these jobs. Whoever has one has a body."""
    found: defaultdict[int, tuple[AnswerFile, ...]] = defaultdict(tuple)
    chosen = {"chosen": [(job_id,) for job_id in job_ids]}
    for job_id, *file in _files.fetch(connection, chosen) if job_ids else ():
        found[job_id] += (AnswerFile(*file),)
    return found


def _result(row: Sequence[Any]) -> Result:
    columns = dict(zip(_COLUMNS, row, strict=True))
    if isinstance(columns["tool_calls"], str):
        columns["tool_calls"] = json.loads(columns["tool_calls"])
    columns["state"] = JobState(columns["state"]).word
    columns["finished_at"] = known_instant(columns["finished_at"])
    return Result(**columns)
