"""PostgreSQL that reads only, as one that a failover made a standby."""

import asyncio

from promptmill.schema.database import Database
from promptmill.schema.moves import endings
from promptmill.schema.states import JobState
from promptmill.workers.recorder import Recorder
from promptmill.workers.spool import Spool
from promptmill.workers.writes import Stored
from tests.schema.scene import ANSWER, ANSWERED, Scene
from tests.services.postgres import Postgres


def let_it_write(postgres: Postgres, database: Database, *, allowed: bool) -> None:
    only = "off" if allowed else "on"
    with database.read() as connection:
        connection.exec_driver_sql("set transaction read write")
        name = connection.exec_driver_sql("select current_database()").scalar_one()
        connection.exec_driver_sql(
            f'alter database "{name}" set default_transaction_read_only = {only}'
        )
    postgres.cut_connections(postgres.url(name))


def test_an_answer_waits_until_sql_may_be_written_again(
    postgres: Postgres, postgres_database: Database, spool: Spool
) -> None:
    scene = Scene(postgres_database)
    job_id, fence = scene.running()
    recorder = Recorder(
        postgres_database, worker_id="w1", group_rows=50, group_s=0.001, spool=spool
    )

    async def close_meanwhile() -> Stored:
        let_it_write(postgres, postgres_database, allowed=False)
        closes = asyncio.create_task(
            recorder.close(endings.finish(job_id, fence, ANSWERED, ANSWER))
        )
        await asyncio.wait([closes], timeout=0.5)
        assert not closes.done(), closes.exception()
        let_it_write(postgres, postgres_database, allowed=True)
        return await closes

    assert asyncio.run(close_meanwhile()) is Stored.MOVED
    assert scene.job(job_id).state == JobState.SUCCEEDED
    recorder.stop(10)
