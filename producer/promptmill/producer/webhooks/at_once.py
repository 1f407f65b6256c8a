"""Tell of one batch from here and now, where no dispatcher may be at work a moment later."""

from collections.abc import Iterator

from promptmill.producer.webhooks.carrying import Carrier
from promptmill.producer.webhooks.courier import announce_news, take
from promptmill.producer.webhooks.verdict import Answer
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings
from promptmill.schema.webhook_deliveries import Delivery, DeliveryState

_SOME = 8


def tell_now(
    settings: Settings, database: Database, batch_id: int
) -> Iterator[tuple[Delivery, Answer]]:
    """Announce what became of a batch, and send once what is due of it; yield what nobody took."""
    announce_news(database, settings.webhooks)
    carrier = Carrier(settings, database)
    while taken := take(database, settings.webhooks, most=_SOME, subject=str(batch_id)):
        for delivery in taken:
            answer, verdict = carrier.carry(delivery)
            if verdict.state is not DeliveryState.DELIVERED:
                yield delivery, answer
