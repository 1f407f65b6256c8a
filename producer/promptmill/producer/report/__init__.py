"""A batch as one HTML page: how it went, how fast, what it cost, what failed and what to do."""

from datetime import UTC, datetime

from promptmill.producer.report.facts import gather
from promptmill.producer.report.page import GENERATOR, render
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings

__all__ = ["GENERATOR", "make_report"]


def make_report(
    database: Database, settings: Settings, batch_id: int, *, with_prompts: bool = False
) -> str:
    """Return the page. Limits are those that *settings* and SQL have now.

    *with_prompts*: with the text of the prompts that it names, which it else has not.

    Raises UsageError for a batch that is not there.
    """
    now = datetime.now(UTC)
    return render(gather(database, settings, batch_id, now=now, with_prompts=with_prompts))
