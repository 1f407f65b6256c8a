"""The large batch of the benchmarks could have been, and both writers write it alike."""

import json
from pathlib import Path
from typing import Any

from benchmarks.export_cases.bare import rows_of
from benchmarks.status_cases.filling import Shape, fill
from promptmill.producer.export import ExportRequest, Format, export
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from tests.schema.scene import assert_sums


def test_a_filled_database_has_the_sums_that_its_triggers_would_have_kept(
    database_url: str,
) -> None:
    database = Database(database_url)
    upgrade(database)
    batches = [fill(database, shape, jobs=1500) for shape in Shape]
    with database.read() as connection:
        assert_sums(connection)
        open_ = connection.exec_driver_sql(
            "select pending, running from promptmill_batches order by batch_id"
        ).all()
    assert [tuple(row) for row in open_] == [(1500, 0), (100, 500), (0, 0)]
    database.close()
    assert written(database_url, batches[2]) == looped(database_url)


def written(url: str, batch_id: int) -> list[Any]:
    database = Database(url)
    export(database, ExportRequest(batch_id, Path("ours.jsonl"), Format.JSONL))
    database.close()
    return [comparable(json.loads(line)) for line in Path("ours.jsonl").read_text().splitlines()]


def looped(url: str) -> list[Any]:
    """Read by the bare loop, of which the last batch alone has all its answers."""
    rows = rows_of(url)
    names = next(rows)
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [comparable(one) for one in found if one["job_id"] > 3000]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out the instant, which PostgreSQL's own text writes otherwise."""
    return {name: value for name, value in row.items() if name != "finished_at"}
