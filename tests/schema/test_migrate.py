"""A database comes to this release's tables, from nothing and again, and says when it has not."""

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from promptmill.schema.database import Database
from promptmill.schema.errors import ContractError, ServiceError
from promptmill.schema.indexes import add_missing_indexes
from promptmill.schema.migrate import _config, _trigger_names, upgrade
from promptmill.schema.moves.endings import finish
from promptmill.schema.revisions import FOLDER, newest_revision, require_current, require_recent
from promptmill.schema.tables import metadata
from promptmill.schema.triggers import TRIGGERS
from promptmill.schema.views import VIEWS
from tests.schema.scene import ANSWER, ANSWERED, Scene
from tests.services.waiting import wait_until


def triggers(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(_trigger_names(connection))


@pytest.fixture
def empty(database_url: str) -> Database:
    return Database(database_url)


def test_an_empty_database_is_brought_to_the_newest_revision_and_again(empty: Database) -> None:
    assert upgrade(empty) == newest_revision()
    require_current(empty)
    assert upgrade(empty) == newest_revision()
    assert triggers(empty) == list(TRIGGERS)
    empty.close()


def test_the_newest_revision_is_alembic_s_head() -> None:
    assert ScriptDirectory(str(FOLDER)).get_current_head() == newest_revision()


def test_migrated_tables_equal_the_models(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


@pytest.fixture
def made_from_models(database: Database, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Tables of the same engine as *database*, made the other way."""
    if database.dialect == "sqlite":
        made = Database("sqlite:///models.db")
    else:
        made = Database(request.getfixturevalue("postgres_url"))
    with made.write() as connection:
        metadata.create_all(connection)
    yield made
    made.close()


def test_migrated_checks_and_partial_indexes_equal_the_models(
    database: Database, made_from_models: Database
) -> None:
    """What Alembic does not compare."""
    assert definitions(database) == definitions(made_from_models)


def definitions(database: Database) -> set[str]:
    lines = set()
    with database.read() as connection:
        inspector = inspect(connection)
        for table in metadata.tables:
            for check in inspector.get_check_constraints(table):
                lines.add(f"{table}: check {check['name']} {check['sqltext']}")
            for index in inspector.get_indexes(table):
                where = index["dialect_options"].get(f"{database.dialect}_where")
                lines.add(f"{table}: {index['name']} {index['column_names']} where {where}")
    return lines


def test_every_view_can_be_read(database: Database) -> None:
    with database.read() as connection:
        assert set(inspect(connection).get_view_names()) == set(VIEWS)
        for name in VIEWS:
            assert connection.exec_driver_sql(f"select * from {name}").all() == []


def test_an_upgrade_puts_back_a_view_and_a_trigger_that_were_lost(database: Database) -> None:
    on = "" if database.dialect == "sqlite" else " on jobs"
    with database.write() as connection:
        connection.exec_driver_sql("drop view promptmill_results")
        connection.exec_driver_sql(f"drop trigger jobs_counts{on}")
    upgrade(database)
    assert "jobs_counts" in triggers(database)
    with database.read() as connection:
        assert "promptmill_results" in inspect(connection).get_view_names()


def upgraded_to(database: Database, revision: str) -> Scene:
    """The database as the release of *revision* left it, at work, with the triggers it had."""
    triggers = Path(__file__).with_name(f"release_{revision}") / f"{database.dialect}.sql"
    with database.write() as connection:
        command.upgrade(_config(connection), revision)
        verbatim = connection.execution_options(no_parameters=True)
        for statement in triggers.read_text(encoding="utf-8").split("\n--\n"):
            verbatim.exec_driver_sql(statement)
    return Scene(database)


_OF_0001 = """
insert into batches (id, name, state, identity, input_name, options, total, created_at, opened_at)
  values (1, 'old', 'open', 'old', 'prompts.jsonl', '{}', 2, :now, :now)
--
insert into jobs (id, batch_id, position, custom_id, provider, model)
  values (1, 1, 1, 'row-1', 'openai', 'gpt-test'), (2, 1, 2, 'row-2', 'openai', 'gpt-test')
--
insert into job_payloads values (1, '{}', '1'), (2, '{}', '2')
--
insert into batch_counts values (1, 'openai', 'gpt-test', 0, 2)
--
update jobs set state = 2, fence = 1, lease_owner = 'w1'
--
insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at, outcome)
  select id, 1, 1, provider, model, 'w1', :now, 0 from jobs
--
update jobs set state = 4, lease_owner = null, attempts = 1, finished_at = :now where id = 1
--
insert into results (job_id, batch_id, fence, text, finish_reason, created_at)
  values (1, 1, 1, 'four', 'stop', :now)
--
update attempts set outcome = 1, ended_at = :now, latency_ms = 1234, input_tokens = 100,
  output_tokens = 20, cost_micros = 1500 where job_id = 1
"""
"""What workers of revision 0001 write for two jobs: one is answered, the other is still open."""


def test_an_upgrade_keeps_all_rows_and_older_workers_go_on(empty: Database) -> None:
    """A job that was claimed before the upgrade is closed after it, by the same statements."""
    scene = upgraded_to(empty, "0001")
    for statement in _OF_0001.split("--"):
        scene.order(statement.replace(":now", f"'{scene.clock()}'"))
    before = scene.everything()
    assert upgrade(empty) == newest_revision()
    after = scene.everything()
    for table, column in (
        ("latency_daily", "batch_id"),
        ("attempts", "reserved_micros"),
        ("attempts", "first_token_ms"),
        ("jobs", "model_no"),
        ("jobs", "twin_of"),
        ("jobs", "fell_back_from"),
        ("jobs", "pool"),
    ):
        for row in after[table]:
            delattr(row, column)  # came later
    assert after == before
    scene.close(finish(2, 1, ANSWERED, ANSWER))
    scene.assert_sums()
    assert [row.calls for row in scene.sql("select calls from latency_daily")] == [2]
    assert len(scene.sql("select * from promptmill_results")) == 2
    assert scene.count("limits") == 0
    empty.close()


def test_several_upgrades_at_once_wait_for_each_other(empty: Database, database_url: str) -> None:
    found: list[str] = []

    def work() -> None:
        database = Database(database_url)
        found.append(upgrade(database))
        database.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [newest_revision()] * 3
    require_current(empty)
    empty.close()


def test_an_upgrade_on_postgresql_waits_for_the_one_before(postgres_database: Database) -> None:
    ended = threading.Event()

    def second() -> None:
        upgrade(postgres_database)
        ended.set()

    with postgres_database.write() as connection:
        connection.exec_driver_sql("select pg_advisory_xact_lock(7305114411)")
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(
            lambda: connection.exec_driver_sql(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            ).scalar_one(),
            "the second upgrade to wait",
        )
        assert not ended.is_set()
    assert ended.wait(30)
    thread.join()


def test_an_old_or_empty_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    with pytest.raises(ContractError, match=r"revision none.*run `promptmill db upgrade`"):
        require_current(database)
    upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '0000'")
    with pytest.raises(ContractError, match=f"revision 0000.*needs {newest_revision()}"):
        require_current(database)
    database.close()


def upgraded_by_a_newer_release(database: Database, *, works_from: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
        connection.exec_driver_sql(
            "update revisions set revision = '9999', works_from = "
            f"'{works_from}' where revision = '{newest_revision()}'"
        )


def test_a_database_of_a_newer_release_is_never_upgraded_back(database: Database) -> None:
    upgraded_by_a_newer_release(database, works_from="0001")
    with pytest.raises(ContractError, match="a newer promptmill has upgraded it"):
        upgrade(database)


def test_a_newer_release_lets_this_one_go_on_or_says_that_it_must_not(database: Database) -> None:
    upgraded_by_a_newer_release(database, works_from=newest_revision())
    assert require_current(database) == "9999"
    upgraded_by_a_newer_release(database, works_from="9998")
    with database.write() as connection:
        connection.exec_driver_sql("update revisions set works_from = '9998'")
    with pytest.raises(ContractError, match="9998, which this release does not know"):
        require_current(database)
    with database.read() as connection, pytest.raises(ContractError, match="use that one here"):
        require_recent(connection)


def test_an_index_that_a_release_adds_is_made_also_where_one_was_broken_off(
    database: Database,
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("drop index jobs_failed")
    assert add_missing_indexes(database) == ["jobs_failed"]
    assert add_missing_indexes(database) == []
    if database.dialect == "postgresql":
        with database.write() as connection:  # as a CREATE INDEX CONCURRENTLY that was killed
            connection.exec_driver_sql(
                "update pg_index set indisvalid = false where indexrelid = 'jobs_failed'::regclass"
            )
        assert add_missing_indexes(database) == ["jobs_failed"]


def test_an_upgrade_asks_again_for_a_table_that_somebody_reads_and_keeps_no_writer_waiting(
    postgres_database: Database,
) -> None:
    """The reader holds `jobs` for longer than the upgrade waits for it at a time."""
    ended = threading.Event()
    waits: list[float] = []

    def upgrade_it() -> None:
        upgrade(postgres_database)
        ended.set()

    with postgres_database.write() as connection:
        connection.exec_driver_sql("update revisions set definitions = 'older'")
    thread = threading.Thread(target=upgrade_it)
    with postgres_database.write() as reader:
        reader.exec_driver_sql("lock table jobs in row exclusive mode")
        thread.start()
        wait_until(lambda: waiting_for_jobs(postgres_database), "the upgrade to wait for jobs")
        began = monotonic()
        with postgres_database.write() as writer:
            writer.exec_driver_sql("update jobs set dispatch_no = 0")
        waits.append(monotonic() - began)
        assert not ended.is_set()
    assert ended.wait(30)
    thread.join()
    assert max(waits) < 2.0


def test_an_upgrade_leaves_the_views_to_those_who_may_read_them(
    postgres_database: Database,
) -> None:
    readers = {("promptmill_batches", "pg_monitor"), ("promptmill_results", "PUBLIC")}
    with postgres_database.write() as connection:
        connection.exec_driver_sql("update revisions set definitions = 'older'")
        for view, role in readers:
            connection.exec_driver_sql(f"grant select on {view} to {role}")
        connection.exec_driver_sql("grant select (model) on promptmill_failures to pg_monitor")
    upgrade(postgres_database)
    with postgres_database.read() as connection:
        granted = connection.exec_driver_sql(
            "select table_name, grantee from information_schema.table_privileges"
            " where grantee in ('pg_monitor', 'PUBLIC') and table_schema = 'public'"
        )
        assert {tuple(row) for row in granted} == readers
        of_columns = connection.exec_driver_sql(
            "select table_name, column_name from information_schema.column_privileges"
            " where grantee = 'pg_monitor' and table_name = 'promptmill_failures'"
        )
        assert [tuple(row) for row in of_columns] == [("promptmill_failures", "model")]


def test_an_upgrade_that_gets_no_lock_says_so_and_changes_nothing(
    postgres_database: Database,
) -> None:
    with postgres_database.write() as connection:
        connection.exec_driver_sql("update revisions set definitions = 'older'")
    with postgres_database.write() as reader:
        reader.exec_driver_sql("lock table jobs in row exclusive mode")
        with pytest.raises(ServiceError, match="nothing was changed: end long queries"):
            upgrade(postgres_database, patience_s=0)
    upgrade(postgres_database)


def waiting_for_jobs(database: Database) -> int:
    with database.read() as connection:
        return int(
            connection.exec_driver_sql(
                "select count(*) from pg_locks where relation = 'jobs'::regclass and not granted"
            ).scalar_one()
        )
