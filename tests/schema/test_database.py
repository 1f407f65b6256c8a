"""How databases are opened: durable, one writer at a time, readers that only read."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.database import Database, DatabaseError, is_passing
from promptmill.schema.errors import ServiceError, SettingsError
from promptmill.schema.reading import query
from promptmill.schema.settings import load_settings
from promptmill.schema.statement import Statement
from tests.schema.scene import Scene
from tests.services.postgres import Postgres

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "busy_timeout": 30_000,
    "foreign_keys": 1,
    "temp_store": 2,  # MEMORY
    "cache_size": -65_536,
    "journal_size_limit": 67_108_864,
    "trusted_schema": 0,
}
LEADER = "insert into leaders (role, owner, taken_at) values ('a', 'b', '2026-11-22T11:00:00Z')"


def test_sqlite_writers_and_readers_have_the_pragmas(sqlite_database: Database) -> None:
    for begin, query_only in ((sqlite_database.write, 0), (sqlite_database.read, 1)):
        with begin() as connection:
            found = {
                name: connection.exec_driver_sql(f"pragma {name}").scalar_one() for name in PRAGMAS
            }
            assert found == PRAGMAS
            assert connection.exec_driver_sql("pragma query_only").scalar_one() == query_only


def test_who_keeps_few_pages_keeps_no_more_of_them_while_it_loads(
    sqlite_database: Database,
) -> None:
    with closing(Database(str(sqlite_database.url), cache_bytes=1 << 20)) as database:
        Scene(database).load(1)
        with database.write() as connection:
            assert connection.exec_driver_sql("pragma cache_size").scalar_one() == -1024


def test_a_sqlite_reader_cannot_write(sqlite_database: Database) -> None:
    with pytest.raises(DatabaseError, match="readonly"), sqlite_database.read() as connection:
        connection.exec_driver_sql("delete from jobs")


def test_a_reader_sees_what_was_when_it_began_and_blocks_no_writer(
    sqlite_database: Database,
) -> None:
    scene = Scene(sqlite_database)
    with sqlite_database.read() as connection:
        count = Statement("select count(*) from batches")
        assert count.fetch(connection)[0][0] == 0
        scene.load(1)
        assert count.fetch(connection)[0][0] == 0
    assert scene.count("batches") == 1


def test_an_error_rolls_everything_back(scene: Scene) -> None:
    def fail_half_way() -> None:
        with scene.database.write() as connection:
            connection.exec_driver_sql(LEADER)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_half_way()
    assert scene.count("leaders") == 0


def test_four_threads_that_read_then_write_wait_for_each_other(database: Database) -> None:
    """SQLite refuses a read that turns into a write; so writers begin IMMEDIATE."""
    raise_beat = Statement("update leaders set beat = :beat where role = 'a'")
    lock = "" if database.dialect == "sqlite" else " for update"
    look = Statement(f"select beat from leaders where role = 'a'{lock}")
    with database.write() as connection:
        connection.exec_driver_sql(LEADER)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                with database.write() as connection:
                    raise_beat.run(connection, beat=look.fetch(connection)[0][0] + 1)
        except DatabaseError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with database.read() as connection:
        assert look.fetch(connection)[0][0] == 200


def test_a_persons_query_reads_columns_and_rows(scene: Scene) -> None:
    scene.load(2)
    for names, rows in query(scene.database, "select custom_id, '5%' as share from jobs"):
        assert names == ["custom_id", "share"]
        assert [tuple(row) for row in rows] == [("row-1", "5%"), ("row-2", "5%")]


def test_a_persons_query_cannot_write(scene: Scene) -> None:
    scene.load(1)
    for statement in ("delete from jobs", "update jobs set attempts = 1 returning id"):
        with pytest.raises(DatabaseError):
            next(iter(query(scene.database, statement)))
    assert scene.count("jobs") == 1


@pytest.mark.parametrize(
    ("url", "complaint"),
    [("mysql://host/db", "'mysql', which is not supported"), ("not a url", "not a database URL")],
)
def test_a_url_that_cannot_be_used_is_refused_with_what_to_write(url: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Database(url)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://me:tell-nobody@/db?host={tmp_path}"
    with pytest.raises(ServiceError) as refused, Database(url).read():
        pass
    assert "cannot open the database" in str(refused.value)
    assert "\n  PROMPTMILL_DATABASE_URL or DATABASE_URL names it" in str(refused.value)
    assert "tell-nobody" not in str(refused.value)


def test_a_password_is_put_where_the_url_has_none() -> None:
    with_one = Database("postgresql://me:mine@host/db", password="other")
    without = Database("postgresql://me@host/db", password="other")
    assert (with_one.url.password, without.url.password) == ("mine", "other")
    assert without.url.drivername == "postgresql+psycopg"


def test_without_a_url_sqlite_lies_in_the_state_folder(tmp_path: Path) -> None:
    settings = load_settings(state_dir=tmp_path / "deep" / "state")
    database = Database.from_settings(settings)
    with database.write() as connection:
        connection.exec_driver_sql("create table t (a)")
    assert (tmp_path / "deep" / "state" / "promptmill.db").exists()
    assert (tmp_path / "deep" / "state").stat().st_mode & 0o077 == 0
    database.close()


def test_a_connection_that_died_is_replaced(
    postgres: Postgres, postgres_database: Database
) -> None:
    pid = Statement("select pg_backend_pid()")
    with postgres_database.read() as connection:
        first = pid.fetch(connection)[0][0]
    postgres._say(f"select pg_terminate_backend({first})")
    with postgres_database.read() as connection:
        assert pid.fetch(connection)[0][0] != first


def test_commits_are_durable_where_the_server_says_they_need_not_be(
    postgres: Postgres, postgres_database: Database
) -> None:
    def setting() -> str:
        with postgres_database.write() as connection:
            return str(connection.exec_driver_sql("show synchronous_commit").scalar_one())

    assert setting() == "on"  # the server of the tests has it off
    name = postgres_database.url.database
    postgres._say(f"alter database \"{name}\" set synchronous_commit = 'local'")
    postgres.cut_connections(postgres.url(str(name)))
    assert setting() == "local", "what the server chose is kept, unless it is off"


def test_a_server_that_is_gone_is_noticed_by_tcp_and_the_url_may_say_when(
    postgres: Postgres, postgres_database: Database
) -> None:
    url = postgres.url(str(postgres_database.url.database))
    for said, noticed in (("", "5"), ("&keepalives_idle=60", "60")):
        database = Database(url + said)
        with database.read() as connection:
            info: Any = connection.connection.driver_connection
            found = {name: info.info.get_parameters().get(name) for name in ("keepalives_idle",)}
            assert found == {"keepalives_idle": noticed}
        database.close()


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    postgres: Postgres, postgres_database: Database
) -> None:
    database = Database(postgres.url(str(postgres_database.url.database)), patience_s=0.2)
    with pytest.raises(DatabaseError, match="statement timeout") as told, database.read() as sql:
        sql.exec_driver_sql("select pg_sleep(20)")
    assert is_passing(told.value)
    database.close()


def test_a_server_that_says_nothing_is_left_and_the_next_connection_is_another(
    postgres: Postgres, postgres_database: Database
) -> None:
    database = Database(postgres.url(str(postgres_database.url.database)), patience_s=0.3)
    slow = "set local statement_timeout = 0; select pg_sleep(20)"
    with pytest.raises(DatabaseError, match="said nothing for") as told, database.read() as sql:
        sql.exec_driver_sql(slow)
    assert is_passing(told.value)
    with database.read() as sql:
        assert sql.exec_driver_sql("select 1").scalar_one() == 1
    database.close()


def test_what_is_wrong_with_the_rows_is_no_passing_fault(scene: Scene) -> None:
    with pytest.raises(DatabaseError) as told:
        scene.sql("select * from no_such_table")
    assert not is_passing(told.value)
