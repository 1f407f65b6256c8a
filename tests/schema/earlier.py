"""What a release says to SQL, written down, so that a later one can be tested against it.

    python -m tests.schema.earlier      writes earlier/REVISION-ENGINE.json of this release

Each file has the statements by which that release made its triggers and views, and all that its
dispatcher, workers, sweeper and people said of one scene: before an upgrade, and after it. Write
one when a release is made. A test plays the files and upgrades in between.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Connection, event

from promptmill.schema.backlog import Scope, aged_hints, backlog, due_waiting, started_jobs
from promptmill.schema.database import Database
from promptmill.schema.live_limits import read_limits
from promptmill.schema.migrate import _config, upgrade
from promptmill.schema.moves import endings, steering
from promptmill.schema.moves.queueing import postpone, unqueue
from promptmill.schema.pauses import lift_pauses, pause_provider, pauses_now
from promptmill.schema.presence import beat, keep_lead, live_workers, register_worker, seize_lead
from promptmill.schema.reading import batch_counts, batch_usage, due_jobs
from promptmill.schema.revisions import newest_revision, require_recent
from promptmill.schema.states import JobState
from promptmill.schema.tables import metadata
from promptmill.schema.triggers import trigger_statements
from promptmill.schema.views import VIEWS, view_statements
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    BROKEN,
    BUSY,
    CUT,
    MODEL,
    PROVIDER,
    REFUSED,
    START,
    UNSENT,
    Scene,
)
from tests.services.postgres import Postgres

FOLDER = Path(__file__).with_name("earlier")
TABLES = ("batches", "jobs", "attempts", "results", "batch_counts", "usage_hourly")
_AT = START.isoformat()
Said = list[tuple[str, Any]]
"""statements with their parameters"""


def first_half(scene: Scene) -> None:
    """Bring jobs into every state that an upgrade may find them in."""
    for batch in (1, 2):
        _load(scene, batch, jobs=12)
    with scene.database.write() as connection:
        register_worker(
            connection,
            worker_id="w1",
            host="here",
            pid=1,
            version="0",
            keys={PROVIDER: "k1"},
            concurrency=10,
        )
        seize_lead(connection, "dispatch", owner="d1", seen=None)
    hints = scene.queue(1, most=11)
    with scene.database.read() as connection:
        due_jobs(connection, hints)
    fences = scene.claim(*hints[:9])
    one, two, three = list(fences.items())[:3]
    scene.close(
        endings.finish(*one, ANSWERED, ANSWER),
        endings.retry(*two, BROKEN, 1.0),
        endings.snooze(*three, BUSY, 1.0),
    )


def second_half(scene: Scene) -> None:
    """Go on with what the first half left open; all statements of a release's day come here."""
    scene.clock.advance(5)
    held = [(row.id, row.fence) for row in scene.sql("select id, fence from jobs where state = 2")]
    scene.close(
        endings.finish(*held[0], ANSWERED, ANSWER),
        endings.fail(*held[1], REFUSED),
        endings.hold(*held[2], CUT),
        endings.keep(*held[3], UNSENT),
    )
    scene.rescue(*held[4:])
    late = scene.close(endings.finish(*held[4], ANSWERED, ANSWER))
    assert late == {held[4][0]}
    with scene.database.write() as connection:
        beat(connection, "w1", [1, 2])
        keep_lead(connection, "dispatch", owner="d1")
        pause_provider(connection, provider=PROVIDER, kind="user", reason="by hand")
        pauses_now(connection)
        lift_pauses(connection, provider=PROVIDER)
        assert steering.pause_batch(connection, 2, "by hand")
        assert steering.resume_batch(connection, 2)
    fresh = [*scene.queue(2, most=3), *scene.queue_due()]
    with scene.database.write() as connection:
        unqueue(connection, fresh[:1])
        postpone(connection, [(fresh[1], 1.0)])
    again = scene.claim(*fresh[2:])
    scene.close(*(endings.finish(*each, ANSWERED, ANSWER) for each in again.items()))
    with scene.database.read() as connection:
        _look(connection)
    with scene.database.write() as connection:
        assert steering.cancel_batch(connection, 2)
        steering.cancel_jobs(connection, 2)
        steering.replay_jobs(connection, 1, [JobState.FAILED, JobState.QUARANTINED])


def _look(connection: Connection) -> None:
    backlog(connection)
    started_jobs(connection)
    due_waiting(connection, Scope(PROVIDER, MODEL), most=10)
    aged_hints(connection, PROVIDER, age_s=1.0, most=10)
    live_workers(connection)
    read_limits(connection)
    batch_counts(connection, 1)
    batch_usage(connection, 1)
    require_recent(connection)
    for view in VIEWS:
        connection.exec_driver_sql(f"select * from {view}")


def _load(scene: Scene, batch: int, *, jobs: int) -> None:
    """As `loading` does it; by INSERT, since a COPY cannot be written down."""
    with scene.database.write() as connection:
        connection.exec_driver_sql(
            "insert into batches (id, name, state, identity, input_name, options, total,"
            f" created_at, opened_at) values ({batch}, 'b', 'open', 'i{batch}', 'prompts.jsonl',"
            f" '{{}}', {jobs}, '{_AT}', '{_AT}')"
        )
        for number in range(1, jobs + 1):
            job = (batch - 1) * jobs + number
            connection.exec_driver_sql(
                "insert into jobs (id, batch_id, position, custom_id, provider, model) values"
                f" ({job}, {batch}, {number}, 'row-{number}', '{PROVIDER}', '{MODEL}')"
            )
            connection.exec_driver_sql(
                "insert into job_payloads (job_id, body, request_hash)"
                f" values ({job}, '{{}}', 'h{job}')"
            )
        connection.exec_driver_sql(
            "insert into batch_counts (batch_id, provider, model, state, jobs)"
            f" values ({batch}, '{PROVIDER}', '{MODEL}', 0, {jobs})"
        )


@contextmanager
def heard(database: Database) -> Iterator[Said]:
    """Write down what is said to *database* while the block lasts."""
    said: Said = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lower().startswith(("begin", "pragma")):
            said.append((statement, parameters))

    engines = {database._writer, database._reader}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", listen)
    yield said
    for engine in engines:
        event.remove(engine, "before_cursor_execute", listen)


def say(connection: Connection, said: Said) -> None:
    """Repeat it."""
    for statement, parameters in said:
        connection.exec_driver_sql(statement, parameters or None)


def make(connection: Connection, revision: str, made: Said) -> None:
    """Make the database of an earlier release."""
    command.upgrade(_config(connection), revision)
    verbatim = connection.execution_options(no_parameters=True)
    for statement, _ in made:
        verbatim.exec_driver_sql(statement)


def rows(connection: Connection, columns: dict[str, list[str]]) -> dict[str, list[list[Any]]]:
    """Read these columns of each table, in order."""
    found = {}
    for table, names in columns.items():
        read = connection.exec_driver_sql(f"select {', '.join(names)} from {table}")
        found[table] = sorted(([_plain(value) for value in row] for row in read), key=repr)
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def write_down(database: Database) -> None:
    """Play the scene on *database*, which is empty, and write down what was said."""
    upgrade(database)
    scene = Scene(database)
    with heard(database) as before:
        first_half(scene)
    with heard(database) as after:
        second_half(scene)
    columns = {name: [column.name for column in metadata.tables[name].columns] for name in TABLES}
    with database.read() as connection:
        ends = rows(connection, columns)
    statements = (*trigger_statements(database.dialect), *view_statements(database.dialect))
    made = [(one, None) for one in statements]
    content = {"made": made, "before": before, "after": after, "columns": columns, "ends": ends}
    FOLDER.mkdir(exist_ok=True)
    lines = ",\n".join(f'"{name}": {_one_a_line(value)}' for name, value in content.items())
    path = FOLDER / f"{newest_revision()}-{database.dialect}.json"
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _one_a_line(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(one) for one in value) + "\n]"


def main() -> None:
    """Write both files of this release."""
    with tempfile.TemporaryDirectory(prefix="pm-") as name:
        Path(name).chmod(0o711)
        with Postgres(Path(name) / "pg") as postgres:
            urls = (f"sqlite:///{name}/promptmill.db", postgres.url(postgres.create_database()))
            for url in urls:
                database = Database(url)
                write_down(database)
                database.close()


if __name__ == "__main__":
    main()
