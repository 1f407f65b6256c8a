"""The loop that people write: a cursor of the driver, and a line for each row.

python benchmarks/export_cases/bare.py URL jsonl|csv FILE
"""

import csv
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

# The same columns as `promptmill export` writes, by the plan that is best on both engines.
SELECT = """
select j.custom_id, j.position, 'succeeded' as state, j.provider, j.model, r.text,
  cast(r.tool_calls as text) as tool_calls, r.finish_reason, r.response_model, a.input_tokens,
  a.output_tokens, a.cache_read_tokens, a.cache_write_tokens, a.reasoning_tokens,
  a.cost_micros / cast(1000000 as double precision) as cost_usd, a.latency_ms, j.attempts,
  a.error_kind, a.error_code,
  a.http_status, a.error_text, cast(j.finished_at as text) as finished_at, j.id as job_id,
  c.validity, c.problem
from jobs j
join results r on r.job_id = j.id
join attempts a on a.job_id = j.id and a.fence = j.fence
left join result_checks c on c.job_id = j.id
order by j.id"""


def rows_of(url: str) -> Iterator[tuple[Any, ...]]:
    """Yield the names of the columns, then the rows."""
    if url.startswith("sqlite"):
        found = sqlite3.connect(url.removeprefix("sqlite:///")).execute(SELECT)
        yield tuple(column[0] for column in found.description)
        yield from found
        return
    with (
        psycopg.connect(url.replace("+psycopg", "")) as connection,
        connection.cursor(name="rows") as cursor,
    ):
        cursor.itersize = 2000
        cursor.execute(SELECT)
        yield tuple(column.name for column in cursor.description or ())
        yield from cursor


def main() -> None:
    """Write the file."""
    url, form, path = sys.argv[1:]
    rows = rows_of(url)
    names = next(rows)
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        if form == "csv":
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows(rows)
            return
        file.writelines(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)


if __name__ == "__main__":
    main()
