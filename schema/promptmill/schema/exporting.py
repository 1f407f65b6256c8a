"""Read a batch for a file: chosen columns, in the order of the input, all of one moment.

One statement in one transaction, so a job is there once and as it was when the reading began,
whatever workers do meanwhile. Rows are streamed, never all in memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection

from promptmill.schema.answers import job_span
from promptmill.schema.database import Database
from promptmill.schema.requests import Endpoint
from promptmill.schema.statement import Statement
from promptmill.schema.states import JobState


class Kind(Enum):
    """What a column holds. All may be NULL."""

    TEXT = "text"
    JSON = "text of JSON"
    WHOLE = "whole number"
    DOLLARS = "dollars, with fractions"
    INSTANT = "text, 2026-11-22T10:37:22.123Z"


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column that may be chosen: where it comes from, and what it holds."""

    sql: str
    kind: Kind = Kind.TEXT


_WORD = "case j.state " + " ".join(f"when {one.value} then '{one.word}'" for one in JobState)
_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
COLUMNS: dict[str, ExportColumn] = {
    "custom_id": ExportColumn("j.custom_id"),
    "position": ExportColumn("j.position", Kind.WHOLE),
    "state": ExportColumn(f"{_WORD} end"),
    "provider": ExportColumn("j.provider"),
    "model": ExportColumn("j.model"),
    "text": ExportColumn("r.text"),
    "tool_calls": ExportColumn("cast(r.tool_calls as text)", Kind.JSON),
    "finish_reason": ExportColumn("r.finish_reason"),
    "response_model": ExportColumn("r.response_model"),
    **{name: ExportColumn(f"a.{name}", Kind.WHOLE) for name in _USAGE},
    "cost_usd": ExportColumn("a.cost_micros / cast(1000000 as double precision)", Kind.DOLLARS),
    "latency_ms": ExportColumn("a.latency_ms", Kind.WHOLE),
    "attempts": ExportColumn("j.attempts", Kind.WHOLE),
    "error_kind": ExportColumn("a.error_kind"),
    "error_code": ExportColumn("a.error_code"),
    "http_status": ExportColumn("a.http_status", Kind.WHOLE),
    "error_text": ExportColumn("a.error_text"),
    "finished_at": ExportColumn("j.finished_at", Kind.INSTANT),
    "job_id": ExportColumn("j.id", Kind.WHOLE),
    "request_id": ExportColumn("a.request_id"),
    "response_id": ExportColumn("r.response_id"),
    "endpoint": ExportColumn(f"coalesce(b.endpoint, '{Endpoint.CHAT}')"),
    "body": ExportColumn("cast(b.body as text)", Kind.JSON),
    "validity": ExportColumn("c.validity"),
    "problem": ExportColumn("c.problem"),
    "request": ExportColumn("cast(p.body as text)", Kind.JSON),
}
_JOINS = (
    (frozenset({"request"}), "join job_payloads p on p.job_id = j.id"),
    (frozenset({"endpoint", "body"}), "left join result_bodies b on b.job_id = j.id"),
    (frozenset({"validity", "problem"}), "left join result_checks c on c.job_id = j.id"),
)
_AS_TEXT = {
    "sqlite": "{}",
    "postgresql": "to_char({} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
}
_DEAD = frozenset({JobState.FAILED, JobState.QUARANTINED})
_PAGE = 250
"""rows that are handed on together"""
_WIDE_PAGE = 100
"""of those that may hold a vector or a picture's description: some 60 KB each"""
_kept = Statement(
    """
select 1 from result_bodies b join jobs j on j.id = b.job_id
where b.job_id between :first and :last and +j.batch_id = :batch_id limit 1"""
)
_PAGE_BYTES = 1_000_000

# The plan for all rows, not for the first; no time-out while whoever reads the file waits.
_PATIENTLY = (
    "set transaction isolation level repeatable read read only",
    "set local cursor_tuple_fraction = 1",
    "set local idle_in_transaction_session_timeout = 0",
)

# What is read once, in the order it lies in, gains nothing by 64 MiB of pages kept.
_SPARINGLY = "pragma cache_size = -4096"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of a batch: which of its jobs, and which columns of them."""

    batch_id: int
    states: frozenset[JobState]
    columns: tuple[str, ...]


@contextmanager
def one_moment(database: Database) -> Iterator[Connection]:
    """Begin a transaction all of whose statements see the same moment, however long it takes."""
    with database.read() as connection:
        if database.dialect == "postgresql":
            for statement in _PATIENTLY:
                connection.exec_driver_sql(statement)
        else:
            connection.exec_driver_sql(_SPARINGLY)
        yield connection


def keeps_bodies(connection: Connection, batch_id: int) -> bool:
    """Tell whether any answer of a batch is kept as its provider sent it."""
    span = job_span(connection, batch_id)
    if span is None:
        return False
    return bool(_kept.fetch(connection, batch_id=batch_id, first=span[0], last=span[1]))


def export_rows(connection: Connection, selection: Selection) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield the rows of *selection* by pages, in the order of the input."""
    span = job_span(connection, selection.batch_id)
    if span is None:
        return
    statement = Statement(_select(connection.dialect.name, selection))
    bounds = {"batch_id": selection.batch_id, "first": span[0], "last": span[1]}
    page = _WIDE_PAGE if "body" in selection.columns else _PAGE
    with statement.stream(connection, page=page, **bounds) as found:
        yield from found.partitions(page)


def _select(dialect: str, selection: Selection) -> str:
    columns = [COLUMNS[name] for name in selection.columns]
    chosen = [
        _AS_TEXT[dialect].format(column.sql) if column.kind is Kind.INSTANT else column.sql
        for column in columns
    ]
    joins = [join for names, join in _JOINS if not names.isdisjoint(selection.columns)]
    states = ", ".join(str(state.value) for state in sorted(selection.states))
    # `+` keeps SQLite from an index that would have to be sorted; only that of what failed has the
    # order. PostgreSQL chooses well by its statistics, which `+` would hide.
    plus = "+" if dialect == "sqlite" and not selection.states <= _DEAD else ""
    return f"""select {", ".join(chosen)} from jobs j
left join results r on r.job_id = j.id
left join attempts a on a.job_id = j.id and a.fence = j.fence
{" ".join(joins)}
where j.id between :first and :last and {plus}j.batch_id = :batch_id
  and {plus}j.state in ({states})
order by j.id"""
