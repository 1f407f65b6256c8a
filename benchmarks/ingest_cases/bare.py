"""Load rows into the tables of a database by its driver alone, and tell what it took.

    python -m benchmarks.ingest_cases.bare URL COUNT

Only the statements and commits are timed, not what makes the rows.
"""

import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import psycopg

from benchmarks.ingest_cases.prompts import rows
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade

_CHUNK = 5000
_TABLES = (
    "jobs (id, batch_id, position, custom_id, provider, model)",
    "job_payloads (job_id, body, request_hash)",
)


def main() -> None:
    """Load COUNT rows of each table, 5,000 in a transaction."""
    url, count = sys.argv[1], int(sys.argv[2])
    database = Database(url)
    upgrade(database)
    database.close()
    load = _sqlite(url) if url.startswith("sqlite") else _postgres(url)
    wall_s = cpu_s = 0.0
    for chunk in rows(count, each=_CHUNK):
        began, used = monotonic(), process_time()
        load(chunk)
        wall_s, cpu_s = wall_s + monotonic() - began, cpu_s + process_time() - used
    sys.stdout.write(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}))


def _sqlite(url: str) -> Callable[[Sequence[Sequence[Any]]], None]:
    connection = sqlite3.connect(Path(url.removeprefix("sqlite:///")), isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")

    def load(chunk: Sequence[Sequence[Any]]) -> None:
        connection.execute("begin immediate")
        for table, table_rows in zip(_TABLES, chunk, strict=True):
            marks = ", ".join("?" * len(table_rows[0]))
            connection.executemany(f"insert into {table} values ({marks})", table_rows)
        connection.execute("commit")

    return load


def _postgres(url: str) -> Callable[[Sequence[Sequence[Any]]], None]:
    connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))

    def load(chunk: Sequence[Sequence[Any]]) -> None:
        cursor = connection.cursor()
        for table, table_rows in zip(_TABLES, chunk, strict=True):
            with cursor.copy(f"copy {table} from stdin") as copy:
                for row in table_rows:
                    copy.write_row(row)
        connection.commit()

    return load


if __name__ == "__main__":
    main()
