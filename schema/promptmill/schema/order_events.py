"""Tell a tenant that a batch of its own has ended, in OpenAI's words, so that its client reads it.

Source: `WebhookBatchCompleted` and its like in OpenAI's API description, version 2.3.0.
"""

import secrets

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.gateway_batches import Status
from promptmill.schema.instants import known_instant
from promptmill.schema.statement import Statement
from promptmill.schema.webhook_deliveries import NewDelivery, add_delivery

_ID = "evt_"
_who = Statement("select webhook_url, {now} from tenants where id = :tenant_id")


class _Order(msgspec.Struct, frozen=True):
    id: str


class OrderEvent(msgspec.Struct, frozen=True):
    """The body that is sent."""

    id: str
    created_at: int
    type: str
    data: _Order
    object: str = "event"


def announce_order(connection: Connection, tenant_id: int, order_id: str, status: Status) -> None:
    """Have the end of a batch sent to its tenant, in the commit that ends it."""
    ((url, now),) = _who.fetch(connection, tenant_id=tenant_id)
    if url is None:
        return
    event = OrderEvent(
        id=_ID + secrets.token_hex(16),
        created_at=int(known_instant(now).timestamp()),
        type=f"batch.{status.value}",
        data=_Order(order_id),
    )
    body = msgspec.json.encode(event).decode()
    add_delivery(connection, NewDelivery(order_id, event.type, url, body, tenant_id))
