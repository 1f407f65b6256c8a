"""`/v1/batches`: order answers to the lines of a file, see how far they are, and stop them."""

import re
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from promptmill.gateway.context import Gateway, caller_of, gateway_of
from promptmill.gateway.errors import ApiError, no_batch, no_file
from promptmill.gateway.folder import new_id
from promptmill.gateway.routes.files import checked_seconds, storable
from promptmill.gateway.shapes import BatchShape, answer, batch_shape, page
from promptmill.schema.database import Connection
from promptmill.schema.gateway_batches import (
    NO_COUNTS,
    NewOrder,
    OrderRow,
    Status,
    add_order,
    cancel_order,
    counts_of,
    order_of,
    page_of_orders,
)
from promptmill.schema.gateway_files import file_of
from promptmill.schema.moves.steering import cancel_batch

router = APIRouter(prefix="/v1/batches")

BATCH_ID: Final = "batch_"
_HOUR_S = 3600
_WINDOW = re.compile(r"([1-9]\d{0,3})h")
_MOST_HOURS = 24 * 7

Endpoint = Literal[
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/images/generations",
    "/v1/moderations",
]
Text = Annotated[str, Field(max_length=512, pattern="^[^\0]*$")]


class ExpiresAfter(BaseModel):
    """When the files of answers go."""

    model_config = ConfigDict(extra="forbid")
    anchor: Literal["created_at"]
    seconds: int


class CreateBatch(BaseModel):
    """What a client orders."""

    model_config = ConfigDict(extra="forbid")
    input_file_id: Text
    endpoint: Endpoint
    completion_window: Text
    metadata: dict[Annotated[str, Field(max_length=64, pattern="^[^\0]*$")], Text] | None = Field(
        default=None, max_length=16
    )
    output_expires_after: ExpiresAfter | None = None


@router.post("")
def create(request: Request, order: CreateBatch) -> Response:
    """Take an order. It is validated soon, and begins where every line is good."""
    gateway, caller = gateway_of(request), caller_of(request)
    expires = order.output_expires_after
    new = NewOrder(
        new_id(BATCH_ID),
        caller.tenant_id,
        order.endpoint,
        order.input_file_id,
        order.completion_window,
        _window_s(order.completion_window),
        msgspec.json.encode(order.metadata).decode() if order.metadata else None,
        None
        if expires is None
        else checked_seconds(expires.seconds, "output_expires_after.seconds"),
    )
    with gateway.database.write() as connection:
        if file_of(connection, caller.tenant_id, order.input_file_id) is None:
            raise no_file(order.input_file_id)
        add_order(connection, new)
        row = _found(connection, caller.tenant_id, new.id)
    gateway.news.set()
    return answer(batch_shape(row))


@router.get("")
def list_batches(
    request: Request,
    after: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """List the tenant's batches, the newest first."""
    caller = caller_of(request)
    with gateway_of(request).database.read() as connection:
        rows = page_of_orders(connection, caller.tenant_id, after=storable(after), most=limit + 1)
        shapes = _shapes(connection, rows)
    return page(shapes, limit)


@router.get("/{batch_id}")
async def retrieve(request: Request, batch_id: str) -> Response:
    """Tell how far a batch is, or was a moment ago."""
    gateway, named = gateway_of(request), (caller_of(request).tenant_id, batch_id)
    body = gateway.looks.fresh(named)
    if body is None:
        keep = gateway.looks.begin()
        body = await run_in_threadpool(_look, gateway, *named)
        keep(named, body)
    return Response(body, media_type="application/json")


def _look(gateway: Gateway, tenant_id: int, batch_id: str) -> bytes:
    with gateway.database.read() as connection:
        row = _found(connection, tenant_id, batch_id)
        (shape,) = _shapes(connection, [row])
    return msgspec.json.encode(shape)


@router.post("/{batch_id}/cancel")
async def cancel(request: Request, batch_id: str) -> Response:
    """Begin nothing more of a batch; what was answered until then can be taken."""
    gateway, caller = gateway_of(request), caller_of(request)
    shape = await run_in_threadpool(_cancel, gateway, caller.tenant_id, batch_id)
    gateway.looks.forget((caller.tenant_id, batch_id))
    gateway.news.set()
    return answer(shape)


def _cancel(gateway: Gateway, tenant_id: int, batch_id: str) -> BatchShape:
    with gateway.database.write() as connection:
        moved = cancel_order(connection, tenant_id, batch_id)
        row = _found(connection, tenant_id, batch_id)
        if moved and row.batch_id is not None:
            cancel_batch(connection, row.batch_id)  # nothing is claimed from this commit on
        (shape,) = _shapes(connection, [row])
    if not moved and row.status not in (Status.CANCELLING, Status.CANCELLED):
        msg = f"Cannot cancel a batch with status '{row.status}'."
        raise ApiError(400, msg, code="invalid_status")
    return shape


def _found(connection: Connection, tenant_id: int, order_id: str) -> OrderRow:
    row = order_of(connection, tenant_id, storable(order_id))
    if row is None:
        raise no_batch(order_id)
    return row


def _shapes(connection: Connection, rows: list[OrderRow]) -> list[BatchShape]:
    counts = counts_of(connection, [row.batch_id for row in rows if row.batch_id is not None])
    return [batch_shape(row, counts.get(row.batch_id or 0, NO_COUNTS)) for row in rows]


def _window_s(window: str) -> float:
    found = _WINDOW.fullmatch(window)
    if found is None or int(found[1]) > _MOST_HOURS:
        msg = f"The completion window is `24h`, or as many hours as you like up to {_MOST_HOURS}h."
        raise ApiError(400, msg, param="completion_window", code="invalid_value")
    return int(found[1]) * _HOUR_S
