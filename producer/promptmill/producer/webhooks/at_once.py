"""Tell of one batch from here and now, where no dispatcher may be at work a moment later."""

from promptmill.producer.webhooks.carrying import Carrier
from promptmill.producer.webhooks.courier import announce_news, take
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings

_SOME = 8


def tell_now(settings: Settings, database: Database, batch_id: int) -> None:
    """Announce what became of a batch, and send once what is due of it."""
    announce_news(database, settings.webhooks, batch_id=batch_id)
    carrier = Carrier(settings, database)
    while taken := take(database, settings.webhooks, most=_SOME, subject=str(batch_id)):
        for delivery in taken:
            carrier.carry(delivery)
