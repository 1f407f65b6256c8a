"""What the thread of the lane makes of a fault that does not go away by itself."""

from pathlib import Path

from structlog.testing import capture_logs

from promptmill.schema.database import Database
from promptmill.schema.secret import Secret
from promptmill.schema.settings import ProviderKind, ProviderSettings, Settings
from promptmill.workers.lane.loop import LaneLoop
from tests.lane.laned import served
from tests.services.waiting import wait_until


def test_a_statement_that_sql_refuses_is_not_told_as_an_outage(tmp_path: Path) -> None:
    """Else nobody would look for it: here the database has no tables."""
    provider = ProviderSettings(kind=ProviderKind.OPENAI, api_key=Secret("sk-test"))
    settings = Settings(redis_url="unix:///nowhere", providers={"openai": provider})
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    loop = LaneLoop(settings, database, {"openai": served("openai", settings)})
    with capture_logs() as told:
        loop.start()
        wait_until(lambda: told, "it to be logged")
        loop.stop()
    database.close()
    assert told[0]["event"] == "lane broken"
