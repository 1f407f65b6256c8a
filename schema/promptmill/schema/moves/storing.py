"""Store answers, each by the fence of the attempt that got it, and only where its job took it."""

from collections.abc import Sequence
from dataclasses import astuple

from promptmill.schema.connection import Connection
from promptmill.schema.moves.endings import Closing, StoredResult
from promptmill.schema.statement import Column, RowSet, Statement

_STORED = RowSet(
    "stored",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("text", "text"),
        Column("tool_calls", "text"),
        Column("finish_reason", "text"),
        Column("response_model", "text"),
        Column("response_id", "text"),
    ),
)
_KEPT = RowSet(
    "kept",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("endpoint", "text"),
        Column("body", "text"),
    ),
)
_FILES = RowSet(
    "files",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("position", "smallint"),
        Column("media_type", "text"),
        Column("bytes", "bigint"),
        Column("sha256", "text"),
        Column("path", "text"),
    ),
)
_CHECKS = RowSet(
    "checks",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("validity", "text"),
        Column("problem", "text"),
    ),
)
_MASKED = RowSet(
    "masked",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("word", "text"),
        Column("value", "text"),
    ),
)
_store = Statement(
    """
insert into results (job_id, batch_id, fence, text, tool_calls, finish_reason, response_model,
  response_id, created_at)
select j.id, j.batch_id, j.fence, stored.text, {json:stored.tool_calls}, stored.finish_reason,
  stored.response_model, stored.response_id, {now}
from {stored} join jobs j on j.id = stored.job_id and j.fence = stored.fence and +j.state = 4
where true on conflict (job_id) do nothing""",
    _STORED,
)
_store_bodies = Statement(
    """
insert into result_bodies (job_id, endpoint, body)
select kept.job_id, kept.endpoint, {json:kept.body}
from {kept} join results r on r.job_id = kept.job_id and r.fence = kept.fence
where true on conflict (job_id) do nothing""",
    _KEPT,
)
_store_files = Statement(
    """
insert into result_files (job_id, position, media_type, bytes, sha256, path)
select files.job_id, files.position, files.media_type, files.bytes, files.sha256, files.path
from {files} join results r on r.job_id = files.job_id and r.fence = files.fence
where true on conflict (job_id, position) do nothing""",
    _FILES,
)
_store_checks = Statement(
    """
insert into result_checks (job_id, validity, problem)
select checks.job_id, checks.validity, checks.problem
from {checks} join results r on r.job_id = checks.job_id and r.fence = checks.fence
where true on conflict (job_id) do nothing""",
    _CHECKS,
)
_store_masked = Statement(
    """
insert into pii_map (job_id, word, value)
select masked.job_id, masked.word, masked.value
from {masked} join results r on r.job_id = masked.job_id and r.fence = masked.fence
where true on conflict (job_id, word) do update set value = excluded.value""",
    _MASKED,
)


def store_results(connection: Connection, answered: Sequence[tuple[Closing, StoredResult]]) -> None:
    if not answered:
        return
    stored = [_stored_row(closing, result) for closing, result in answered]
    _store.run(connection, {"stored": stored})
    kept = [
        (closing.job_id, closing.fence, result.endpoint, result.body)
        for closing, result in answered
        if result.body is not None
    ]
    if kept:
        _store_bodies.run(connection, {"kept": kept})
    files = [
        (closing.job_id, closing.fence, *astuple(file))
        for closing, result in answered
        for file in result.files
    ]
    if files:
        _store_files.run(connection, {"files": files})
    checks = [
        (closing.job_id, closing.fence, result.validity, result.problem)
        for closing, result in answered
        if result.validity is not None
    ]
    if checks:
        _store_checks.run(connection, {"checks": checks})
    masked = [
        (closing.job_id, closing.fence, word, value)
        for closing, result in answered
        for word, value in result.masked
    ]
    if masked:
        _store_masked.run(connection, {"masked": masked})


def _stored_row(closing: Closing, result: StoredResult) -> tuple[object, ...]:
    return (
        closing.job_id,
        closing.fence,
        result.text,
        result.tool_calls,
        result.finish_reason,
        result.response_model,
        result.response_id,
    )
