"""Each frequent statement uses the index that is named for it, and never reads all jobs."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from promptmill.schema.answers import failures_of
from promptmill.schema.backlog import Scope, Unasked, due_waiting, pending_rows, row_sample
from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves.caching import LANED, Followed, Likeness, Wish, follow
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import finish, retry
from promptmill.schema.moves.laning import let_go, set_aside, set_these_aside, take
from promptmill.schema.moves.loading import analyze, create_batch
from promptmill.schema.moves.queueing import (
    give_back,
    has_dealt,
    postpone,
    queue_pending,
    queue_waiting,
    unqueue,
)
from promptmill.schema.moves.rescuing import rescue, running_of
from promptmill.schema.moves.steering import cancel_jobs
from promptmill.schema.presence import orphaned_owners
from promptmill.schema.provider_batches import jobs_in, laned_jobs, these_in
from promptmill.schema.reading import batch_counts, due_jobs
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, MODEL, PROVIDER, Scene, new_batch
from tests.services.postgres import Postgres

ROWS = 60_000
BATCHES = 20
# Of each thousand jobs: 900 succeeded, 40 pending, 20 queued, 10 running, 20 waiting, 10 failed.
FILL = f"""
insert into jobs (id, batch_id, position, custom_id, provider, model, state, dispatch_no, fence,
  lease_owner, queued_at, run_at, finished_at)
with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS}),
s as (select i, case when i % 100 < 90 then 4 when i % 100 < 94 then 0 when i % 100 < 96 then 1
  when i % 100 < 97 then 2 when i % 100 < 99 then 3 else 5 end as state from n)
select i, 1 + i * {BATCHES} / ({ROWS} + 1), i, cast(i as text), '{PROVIDER}', '{MODEL}', state,
  1, 1,
  case when state = 2 then 'w' || (i / 100 % 20) end,
  case when state = 1 then {{at}} end, case when state = 3 then {{later}} end,
  case when state >= 4 then {{at}} end
from s"""
PAYLOADS = "insert into job_payloads select id, '{}', '' from jobs"
ATTEMPTS = """
insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at, error_kind)
select id, 1, batch_id, provider, model, 'w1', {at}, case when state = 5 then 'request' end
from jobs where state > 1"""
INSTANTS = {
    "sqlite": {
        "at": "'2026-11-22T11:00:00.000Z'",
        "later": "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (i - 600) || ' seconds')",
    },
    "postgresql": {
        "at": "timestamptz '2026-11-22 11:00Z'",
        "later": "now() + (i - 600) * interval '1 second'",
    },
}


@pytest.fixture(scope="module")
def full_sqlite(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = shutil.copy(migrated_sqlite, tmp_path_factory.mktemp("full") / "promptmill.db")
    return filled(Database(f"sqlite:///{path}"))


@pytest.fixture(scope="module")
def full_postgres(postgres: Postgres, migrated_postgres: str) -> Iterator[Database]:
    name = postgres.create_database(template=migrated_postgres)
    database = filled(Database(postgres.url(name)))
    yield database
    database.close()
    postgres.drop_database(name)


def filled(database: Database) -> Database:
    instants = INSTANTS[database.dialect]
    with database.write() as connection:
        for n in range(BATCHES):
            create_batch(connection, new_batch(f"batch {n}"))
        verbatim = connection.execution_options(no_parameters=True)
        verbatim.exec_driver_sql(f"update batches set state = 'open', opened_at = {instants['at']}")
        verbatim.exec_driver_sql(FILL.format(**instants))
        verbatim.exec_driver_sql(PAYLOADS)
        verbatim.exec_driver_sql(ATTEMPTS.format(**instants))
        verbatim.exec_driver_sql("analyze")
    return database


@pytest.fixture(params=["sqlite", "postgres"])
def full(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"full_{request.param}")
    return found


def plans(database: Database, act: Callable[[Connection], Any]) -> str:
    """Run *act*, undo it, and return the plans of all statements that it ran."""
    ran: list[tuple[str, Any]] = []

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Any, *_more: object
    ) -> None:
        ran.append((statement, parameters))

    explain = "explain query plan " if database.dialect == "sqlite" else "explain "
    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", note)
        act(connection)
        event.remove(connection, "before_cursor_execute", note)
        connection.rollback()
    lines = []
    with database.write() as connection:
        for statement, parameters in ran:
            if statement.startswith("set local"):
                connection.exec_driver_sql(statement)
                continue
            rows = connection.exec_driver_sql(explain + statement, parameters)
            lines += [str(row[-1]) for row in rows]
    assert lines
    return "\n".join(lines)


def ids(database: Database, state: int, most: int = 50) -> list[int]:
    with database.read() as connection:
        rows = connection.exec_driver_sql(
            f"select id from jobs where state = {state} order by id limit {most}"
        )
        return [row[0] for row in rows]


def assert_no_scan(plan: str) -> None:
    """SQLite says SCAN, PostgreSQL Seq Scan. To scan the index of what is in flight is fine."""
    for line in plan.splitlines():
        whole = line.startswith(("SCAN jobs", "SCAN j ", "SCAN attempts", "SCAN a "))
        assert not whole or re.search("INDEX jobs_(queued|running|waiting)$", line), plan
        assert "Seq Scan on jobs" not in line, plan
        assert "Seq Scan on attempts" not in line, plan


KEY = {"sqlite": "INTEGER PRIMARY KEY", "postgresql": "pk_jobs"}


def test_claiming_finds_jobs_by_their_key(full: Database) -> None:
    hints = [(Hint(job_id, 1), "key") for job_id in ids(full, 1)]
    plan = plans(full, lambda c: claim(c, hints, worker_id="w"))
    assert KEY[full.dialect] in plan
    assert_no_scan(plan)


def test_closing_finds_jobs_and_attempts_by_their_key(full: Database) -> None:
    with full.read() as connection:
        owned = [pair for w in range(5) for pair in running_of(connection, f"w{w}", most=10)]
    assert len(owned) >= 40
    closings = [
        finish(*pair, ANSWERED, ANSWER) if n % 2 else retry(*pair, BROKEN, 1.0)
        for n, pair in enumerate(owned)
    ]
    late = [finish(job_id, 1, ANSWERED, ANSWER) for job_id in ids(full, 0)]
    plan = plans(full, lambda c: close(c, closings + late, worker_id="w"))
    assert KEY[full.dialect] in plan
    assert "attempts" in plan
    assert_no_scan(plan)


def test_pending_jobs_are_queued_by_jobs_due(full: Database) -> None:
    scope: Any = {"provider": PROVIDER, "model": MODEL}
    plan = plans(full, lambda c: queue_pending(c, batch_id=7, **scope, most=100, to="a member"))
    assert "jobs_due" in plan
    assert_no_scan(plan)
    assert "TEMP B-TREE" not in plan, "the index gives the order"


@pytest.mark.parametrize(
    ("where", "index"), [(Unasked.PENDING, "jobs_due"), (Unasked.LANED, "jobs_laned")]
)
def test_a_sample_of_jobs_is_taken_without_reading_all_of_them(
    full: Database, where: Unasked, index: str
) -> None:
    def act(connection: Connection) -> None:
        set_aside(connection, batch_id=7, provider=PROVIDER, model=MODEL, most=50)
        assert len(row_sample(connection, 7, Scope(PROVIDER, MODEL), where, most=10)) == 10

    plan = plans(full, act)
    assert index in plan
    assert_no_scan(plan)
    assert "TEMP B-TREE" not in plan, "the index gives the order"
    if full.dialect == "sqlite":  # its min() and max() in one select read all that is between
        assert plan.count("SCALAR SUBQUERY") == 2 + 1, "the third is of the move"


def test_the_lane_finds_its_jobs_by_indexes_of_its_own(full: Database) -> None:
    scope: Any = {"batch_id": 7, "provider": PROVIDER, "model": MODEL}

    def act(connection: Connection) -> None:
        rows = pending_rows(connection, 7, Scope(PROVIDER, MODEL), after=0, most=10)
        assert set_these_aside(connection, [row[0] for row in rows]) == 10
        assert set_aside(connection, **scope, most=50) == 50
        waiting = laned_jobs(connection, **scope, after=0, most=50)
        assert len(waiting) == 50
        hints = [Hint(job.job_id, job.dispatch_no) for job in waiting]
        claims = [(hint, "key") for hint in hints[:20]]
        fences = take(connection, claims, provider_batch="away", reservations={})
        assert len(jobs_in(connection, "away", most=50)) == len(fences) == 20
        assert len(these_in(connection, "away", list(fences.items()))) == 20
        wishes = [Wish(hint, hints[0].job_id) for hint in hints[20:25]]
        assert set(follow(connection, wishes, way=LANED).values()) == {Followed.WAITS}
        assert let_go(connection, 7, most=50) == 35

    plan = plans(full, act)
    assert {"jobs_due", "jobs_laned", "jobs_running"} <= set(re.findall(r"jobs_\w+", plan)), plan
    assert_no_scan(plan)


def test_waiting_jobs_are_queued_by_jobs_waiting_and_only_the_due_are_read(full: Database) -> None:
    plan = plans(full, lambda c: queue_waiting(c, provider=PROVIDER, model=MODEL, most=100))
    bound = {"sqlite": r"jobs_waiting \(.*run_at<\?\)", "postgresql": r"Index Cond: .*run_at <="}
    assert "jobs_waiting" in plan
    assert re.search(bound[full.dialect], plan), plan
    assert_no_scan(plan)


def test_a_member_gives_back_by_jobs_queued(full: Database) -> None:
    scope: Any = {"provider": PROVIDER, "model": MODEL}
    for plan in (
        plans(full, lambda c: has_dealt(c, **scope, pool="both")),
        plans(full, lambda c: give_back(c, **scope, pool="both", most=100)),
    ):
        assert "jobs_queued" in plan
        assert_no_scan(plan)


def test_hints_are_taken_back_and_postponed_by_key(full: Database) -> None:
    hints = [Hint(job_id, 1) for job_id in ids(full, 1)]

    def act(connection: Connection) -> None:
        unqueue(connection, hints[:25])
        postpone(connection, [(hint, 1.0) for hint in hints[25:]])

    plan = plans(full, act)
    assert KEY[full.dialect] in plan
    assert_no_scan(plan)


def test_what_a_worker_holds_is_read_and_rescued_by_jobs_running(full: Database) -> None:
    def act(connection: Connection) -> None:
        lost = running_of(connection, "w3", most=1000)
        assert lost
        rescue(connection, lost, worker_id="w3", alone=False, max_crashes=3, reason="")
        orphaned_owners(connection)

    plan = plans(full, act)
    assert "jobs_running" in plan
    assert_no_scan(plan)


def test_an_answer_of_another_job_is_looked_for_by_keys(full: Database) -> None:
    hints = [Hint(job_id, 1) for job_id in ids(full, 1)]
    others = ids(full, 4)
    likeness = Likeness("scope", 1.0, "local")
    wishes = [
        Wish(hint, other, likeness if n % 2 else None)
        for n, (hint, other) in enumerate(zip(hints, others, strict=True))
    ]
    plan = plans(full, lambda c: follow(c, wishes))
    assert KEY[full.dialect] in plan
    assert_no_scan(plan)
    assert not re.search("(SCAN|Seq Scan on) (job_payloads|op|p)\\b", plan), plan


def test_a_peek_reads_jobs_and_payloads_by_key(full: Database) -> None:
    hints = [Hint(job_id, 1) for job_id in ids(full, 1)]
    plan = plans(full, lambda c: due_jobs(c, hints))
    assert KEY[full.dialect] in plan
    assert_no_scan(plan)
    assert "Seq Scan on job_payloads" not in plan


def test_dead_letters_of_a_batch_are_read_by_jobs_failed(full: Database) -> None:
    failures = "select * from promptmill_failures where batch_id = 7"
    plan = plans(full, lambda c: c.exec_driver_sql(failures).all())
    assert "jobs_failed" in plan
    assert_no_scan(plan)


def test_failures_by_reason_are_read_from_indexes_alone(full: Database) -> None:
    plan = plans(full, lambda c: failures_of(c, 7))
    alone = {"sqlite": "COVERING INDEX", "postgresql": "Index Only Scan using"}[full.dialect]
    assert f"{alone} jobs_failed" in plan
    assert f"{alone} attempts_missed" in plan
    assert_no_scan(plan)
    assert not re.search("(SCAN|Seq Scan on) (attempts|a)\\b", plan), plan


def test_results_of_a_batch_do_not_read_other_batches(full: Database) -> None:
    results = "select custom_id, text from promptmill_results where batch_id = 7"
    plan = plans(full, lambda c: c.exec_driver_sql(results).all())
    assert_no_scan(plan)


def test_progress_reads_counters_and_no_jobs(full: Database) -> None:
    def act(connection: Connection) -> None:
        batch_counts(connection, 7)
        connection.exec_driver_sql("select * from promptmill_batches").all()

    plan = plans(full, act)
    assert not re.search("on jobs|(SCAN|SEARCH) jobs", plan), plan


def test_cancelling_reads_only_what_is_open(full: Database) -> None:
    plan = plans(full, lambda c: cancel_jobs(c, 7))
    assert "jobs_due" in plan
    assert_no_scan(plan)


def test_the_first_rows_come_by_the_index_where_about_as_many_are_expected(
    postgres_database: Database,
) -> None:
    """Statistics know nothing of what goes together: they expect a twelfth of a twelfth."""
    scene = Scene(postgres_database)
    hints = scene.queue(scene.load(5_500), most=5_500)
    pending = scene.load(500)
    with postgres_database.write() as connection:
        postpone(connection, [(hint, 0.0) for hint in hints[:500]])
    with postgres_database.write() as connection:
        analyze(connection)
    scope: Any = {"provider": PROVIDER, "model": MODEL}
    looks: dict[str, list[Callable[[Connection], object]]] = {
        "jobs_waiting": [
            lambda c: due_waiting(c, Scope(**scope), most=100),
            lambda c: queue_waiting(c, **scope, most=100),
        ],
        "jobs_due": [
            lambda c: queue_pending(c, batch_id=pending, **scope, most=100),
            lambda c: pending_rows(c, pending, Scope(**scope), after=0, most=100),
            lambda c: set_aside(c, batch_id=pending, **scope, most=100),
        ],
        "jobs_queued": [
            lambda c: has_dealt(c, **scope, pool="both"),
            lambda c: give_back(c, **scope, pool="both", most=100),
        ],
    }
    for index, acts in looks.items():
        for act in acts:
            plan = plans(postgres_database, act)
            assert re.search(rf"Index (Only )?Scan (Backward )?using {index} ", plan), plan


@pytest.fixture(params=["sqlite", "postgres"])
def just_loaded(request: pytest.FixtureRequest) -> Database:
    """A database whose statistics were taken when all its jobs were pending."""
    database: Database = request.getfixturevalue(f"{request.param}_database")
    scene = Scene(database)
    batch = scene.load(12_000)
    with database.write() as connection:
        analyze(connection)
    scene.queue(batch, most=12_000)
    return database


def test_right_after_a_load_groups_are_found_by_their_keys_too(just_loaded: Database) -> None:
    """Statistics that know no queued job make a partial index look empty; it holds them all."""
    hints = [Hint(job_id, 1) for job_id in ids(just_loaded, 1)]

    def act(connection: Connection) -> None:
        due_jobs(connection, hints)
        postpone(connection, [(hint, 0.0) for hint in hints[:5]])
        unqueue(connection, hints[5:10])
        fences = claim(connection, [(hint, "key") for hint in hints[10:]], worker_id="w1")
        lost = list(fences.items())
        rescue(connection, lost[:5], worker_id="w1", alone=False, max_crashes=3, reason="")
        close(connection, [finish(*pair, ANSWERED, ANSWER) for pair in lost], worker_id="w1")

    plan = plans(just_loaded, act)
    assert not re.search("jobs_(due|queued|running|waiting)", plan), plan
    assert not re.search("SCAN jobs|Seq Scan on jobs ", plan), plan
