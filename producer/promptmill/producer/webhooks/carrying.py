"""Carry one delivery to its address, and write what came of it."""

import time
from collections.abc import Callable
from random import Random

from promptmill.producer.webhooks.secret import webhook_secret
from promptmill.producer.webhooks.signature import signed_headers
from promptmill.producer.webhooks.verdict import Answer, Verdict, judge
from promptmill.schema.database import Database, is_passing
from promptmill.schema.settings import Settings
from promptmill.schema.webhook_deliveries import Delivery, close_delivery
from promptmill.schema.webhook_settings import check_webhook, signing_keys


class Carrier:
    """Sends deliveries that were claimed. Safe to share between threads.

    *clock* gives Unix seconds.
    """

    def __init__(
        self, settings: Settings, database: Database, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._database, self._clock = settings, database, clock
        self._dice = Random()

    def carry(self, delivery: Delivery) -> tuple[Answer, Verdict]:
        """Send it once and write the end of the attempt, whatever it is; raise an outage of SQL."""
        try:
            answer = self._send(delivery)
        except Exception as error:
            if is_passing(error):
                raise
            # Not booked, it would be sent again whenever its lease is over. Its text is not shown.
            answer = Answer(None, f"not sent: {type(error).__name__}")
        verdict = judge(answer, delivery.attempts, dice=self._dice)
        with self._database.write() as connection:
            close_delivery(
                connection,
                delivery,
                verdict.state,
                answer=str(answer),
                again_s=verdict.again_s,
            )
        return answer, verdict

    def _send(self, delivery: Delivery) -> Answer:
        # Its HTTP client takes memory, and time to import: for those who have webhooks.
        from promptmill.producer.webhooks.posting import Post  # noqa: PLC0415

        url, body, webhooks = delivery.url, delivery.body.encode(), self._settings.webhooks
        try:  # the settings may be others than when it was ordered
            check_webhook(url, allow_private=webhooks.allow_private)
        except ValueError as error:
            return Answer(None, str(error))
        headers = signed_headers(
            delivery.id,
            body,
            at=int(self._clock()),
            keys=signing_keys(webhook_secret(self._settings, self._database, delivery.tenant_id)),
        )
        post = Post(self._settings.network, webhooks.allow_private, webhooks.timeout_s)
        return post.send(url, body, headers)
