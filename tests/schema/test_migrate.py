"""A database comes to this release's tables, from nothing and again, and says when it has not."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from promptmill.schema.database import Database
from promptmill.schema.errors import ContractError
from promptmill.schema.migrate import _config, newest_revision, require_current, upgrade
from promptmill.schema.moves.closing import finish
from promptmill.schema.tables import metadata
from promptmill.schema.views import VIEWS
from tests.schema.scene import ANSWER, ANSWERED, Scene
from tests.services.waiting import wait_until

TRIGGERS = {
    "sqlite": "select name from sqlite_master where type = 'trigger'",
    "postgresql": "select tgname from pg_trigger where not tgisinternal",
}


def triggers(database: Database) -> list[str]:
    with database.read() as connection:
        rows = connection.exec_driver_sql(TRIGGERS[database.dialect])
        return sorted(row[0] for row in rows)


@pytest.fixture
def empty(database_url: str) -> Database:
    return Database(database_url)


def test_an_empty_database_is_brought_to_the_newest_revision_and_again(empty: Database) -> None:
    assert upgrade(empty) == newest_revision()
    require_current(empty)
    assert upgrade(empty) == newest_revision()
    assert triggers(empty) == ["attempts_rollup", "jobs_counts", "jobs_moves"]
    empty.close()


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


def test_an_upgrade_keeps_all_rows_and_older_workers_go_on(empty: Database) -> None:
    """A job that was claimed before the upgrade is closed after it, by the same statements."""
    scene = upgraded_to(empty, "0001")
    done, open_ = scene.running(), scene.running()
    scene.close(finish(*done, ANSWERED, ANSWER))
    before = scene.everything()
    assert upgrade(empty) == newest_revision()
    after = scene.everything()
    assert [row.batch_id for row in after["latency_daily"]] == [scene.job(done[0]).batch_id]
    for row in after["latency_daily"]:
        del row.batch_id  # came with 0003
    assert after == before
    scene.close(finish(*open_, ANSWERED, ANSWER))
    scene.assert_sums()
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


def test_a_database_of_a_newer_release_is_left_alone(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    for refuse in (upgrade, require_current):
        with pytest.raises(ContractError, match="a newer promptmill has upgraded it"):
            refuse(database)
