"""PostgreSQL neither answers nor closes: a command says so, and ends."""

import pytest

from promptmill.producer.opening import opened
from promptmill.schema.errors import ServiceError
from promptmill.schema.settings import load_settings


def test_a_command_gives_up_on_a_database_that_says_nothing(postgres_copy: str) -> None:
    silence = "set local statement_timeout = 0; select pg_sleep(20)"
    with (
        pytest.raises(ServiceError, match="the database failed: PostgreSQL said nothing for"),
        opened(load_settings(database_url=postgres_copy), patience_s=0.3) as database,
        database.read() as sql,
    ):
        sql.exec_driver_sql(silence)
