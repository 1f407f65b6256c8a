"""The worker that a gateway is for its own live calls."""

import asyncio
from threading import enumerate as threads_now

import pytest

from promptmill.gateway.answering import Answering
from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.settings import Settings
from tests.services.valkey import Valkey

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_start_that_fails_in_the_middle_leaves_nothing_open(
    settings: Settings, database: Database, valkey: Valkey
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("drop table latency_daily")
    before = set(threads_now())
    answering = Answering(settings.model_copy(update={"redis_url": valkey.url}))
    with pytest.raises(DatabaseError, match="latency_daily"):
        asyncio.run(answering.open())
    assert set(threads_now()) <= before
