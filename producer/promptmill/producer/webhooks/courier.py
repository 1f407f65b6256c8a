"""The courier, beside each dispatcher: announces what became of batches, and has it delivered.

Any number may be at work: who announces marks the batch, who delivers holds a lease. A receiver
that is slow holds up its own news only, for it has one request at a time.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread

import structlog

from promptmill.producer.sideline import Sideline
from promptmill.producer.webhooks.carrying import Carrier
from promptmill.producer.webhooks.verdict import Answer, Verdict
from promptmill.schema.database import Database, DatabaseError, is_passing
from promptmill.schema.errors import ServiceError
from promptmill.schema.moves.announcing import Found, announce, found_news
from promptmill.schema.settings import Settings, WebhookSettings
from promptmill.schema.webhook_deliveries import (
    Delivery,
    DeliveryState,
    claim_due,
    forget_deliveries,
    is_any_due,
)

_log = structlog.get_logger(__name__)
_AT_ONCE = 8
_SPARE_S = 30.0
"""of a lease, beyond the time that a receiver has: to look up a secret, and to write the end"""
_GRACE_S = 5.0
"""at the end, for what is under way; what is left is sent again when its lease is over"""
_KEPT_S = 30 * 86_400.0
_TIDY_S = 3600.0


@contextmanager
def courier_at_work(settings: Settings, database: Database) -> Iterator[None]:
    """Announce and deliver while the block lasts."""
    courier = Courier(settings, database)
    beside = Sideline("courier", courier.turn)
    courier.has_room = beside.wake
    beside.start()
    try:
        yield
    finally:
        beside.end()
        courier.wait(_GRACE_S)


class Courier:
    """Announces, and sends off what is due, each in a thread; *clock* is monotonic, in seconds."""

    def __init__(
        self, settings: Settings, database: Database, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._webhooks, self._database, self._clock = settings.webhooks, database, clock
        self._carrier = Carrier(settings, database)
        self._on_the_way: set[Thread] = set()
        self._not_announced: set[int] = set()
        self._tidy_at = clock()
        self.has_room: Callable[[], object] = lambda: None
        """told when one has ended"""

    def turn(self) -> None:
        """Do all that is to be done now. Nothing is written where there is nothing."""
        for found in announce_news(self._database, self._webhooks, failed=self._not_announced):
            _log.info("announced", batch=found.batch_id, news=found.news.value)
        room = _AT_ONCE - len(self._on_the_way)
        for delivery in take(self._database, self._webhooks, most=room):
            # A daemon: a receiver that does not answer keeps no process from ending.
            thread = Thread(target=self._carry, args=(delivery,), name="webhook", daemon=True)
            self._on_the_way.add(thread)
            thread.start()
        if self._clock() >= self._tidy_at:
            self._tidy_at = self._clock() + _TIDY_S
            with self._database.write() as connection:
                forget_deliveries(connection, age_s=_KEPT_S)

    def wait(self, patience_s: float) -> None:
        """Wait for what is on its way."""
        until = self._clock() + patience_s
        for thread in tuple(self._on_the_way):
            thread.join(max(0.0, until - self._clock()))

    def _carry(self, delivery: Delivery) -> None:
        try:
            answer, verdict = self._carrier.carry(delivery)
            _tell(delivery, answer, verdict)
        except (DatabaseError, ServiceError) as error:  # it is sent again when its lease is over
            _log.warning("webhook not booked", delivery=delivery.no, error=type(error).__name__)
        except Exception:  # noqa: BLE001  the outermost of this thread
            _log.exception("webhook failed", delivery=delivery.no)
        finally:
            self._on_the_way.discard(current_thread())
            self.has_room()


def announce_news(
    database: Database,
    webhooks: WebhookSettings,
    *,
    batch_id: int | None = None,
    failed: set[int] | None = None,
) -> list[Found]:
    """Announce what became of batches, or of one, since somebody looked last; list it.

    What is wrong with a batch keeps no other from it; *failed* takes the batch, to log it once.
    """
    with database.read() as connection:
        news = found_news(connection, batch_id=batch_id)
    urls = [webhooks.url] if webhooks.url else []
    failed = set() if failed is None else failed
    announced = []
    for found in news:
        try:
            with database.write() as connection:
                if announce(connection, found, urls) and found.news:
                    announced.append(found)
        except Exception as error:
            if is_passing(error):
                raise
            if found.batch_id not in failed:
                failed.add(found.batch_id)
                _log.error("not announced", batch=found.batch_id, error=type(error).__name__)
    return announced


def take(
    database: Database, webhooks: WebhookSettings, *, most: int, subject: str = ""
) -> list[Delivery]:
    """Claim what is due, one for each address; only of *subject*, if it is named."""
    if most <= 0:
        return []
    with database.read() as connection:
        if not is_any_due(connection, subject=subject):
            return []
    with database.write() as connection:
        lease_s = webhooks.timeout_s + _SPARE_S
        return claim_due(connection, lease_s=lease_s, most=most, subject=subject)


def _tell(delivery: Delivery, answer: Answer, verdict: Verdict) -> None:
    """Log an attempt: no address, since what follows its host may be a secret."""
    log = _log.info if verdict.state is DeliveryState.DELIVERED else _log.warning
    log(
        f"webhook {verdict.state.value}",
        delivery=delivery.no,
        news=delivery.event,
        subject=delivery.subject,
        answer=str(answer),
        attempts=delivery.attempts,
        again_s=round(verdict.again_s),
    )
