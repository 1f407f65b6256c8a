"""Check the files of new orders, and make each a batch of ours: `validating` to `in_progress`.

A gateway that dies here leaves a batch that is loading; the same order goes on with it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog

from promptmill.gateway.context import Gateway
from promptmill.producer.estimate.budgets import Budget
from promptmill.producer.reading import ReadOptions
from promptmill.producer.submitting.request import SubmitRequest, Submitted
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Connection
from promptmill.schema.errors import InputError, RepeatedError, UsageError
from promptmill.schema.gateway_batches import (
    OrderRow,
    Status,
    begin_order,
    fail_order,
    open_orders,
    order_of,
)
from promptmill.schema.gateway_files import file_of
from promptmill.schema.moves.allowances import divide_budget, standing_of
from promptmill.schema.moves.steering import cancel_batch
from promptmill.schema.order_events import announce_order
from promptmill.schema.tenant_options import options_of

_log = structlog.get_logger(__name__)
_EMBEDDINGS = "/v1/embeddings"
_HELD_BYTES = 1 << 20
"""of prompts are held at once: a gateway serves others meanwhile, in little memory"""
_OPEN = frozenset({Status.VALIDATING, Status.CANCELLING})


class Validation:
    """The first part of the work."""

    role = "gateway-validate"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def turn(self, beat: Callable[[], None]) -> None:
        """Validate all that is new, one after the other."""
        database = self._gateway.database
        with database.read() as connection:
            orders = [one for one in open_orders(connection) if _is_new(one)]
        for order in orders:
            try:
                submitted = self._submit(order, beat)
            except UsageError as error:
                errors = msgspec.json.encode({"object": "list", "data": _told(error)}).decode()
                with database.write() as connection:
                    if fail_order(connection, order.id, errors):
                        announce_order(connection, order.tenant_id, order.id, Status.FAILED)
                _log.info("order refused", order=order.id, error=type(error).__name__)
            else:
                _log.info("order begun", order=order.id, batch=submitted.batch_id)

    def _submit(self, order: OrderRow, beat: Callable[[], None]) -> Submitted:
        gateway = self._gateway
        with gateway.database.read() as connection:
            file = file_of(connection, order.tenant_id, order.input_file_id)
            left = standing_of(connection, order.tenant_id).left
            options = options_of(connection, order.tenant_id)
        if file is None:
            msg = f"The file {order.input_file_id} is gone."
            raise UsageError(msg)
        most = gateway.settings.gateway.lines
        if file.lines > most:
            msg = f"The file has {file.lines:,} lines, and {most:,} are taken in a batch: split it."
            raise UsageError(msg)
        request = SubmitRequest(
            gateway.folder.path(file.id),
            ReadOptions(
                url=order.endpoint,
                held_bytes=_HELD_BYTES,
                max_inputs=most if order.endpoint == _EMBEDDINGS else None,
            ),
            name=order.id,
            order=order.id,
            tenant_id=order.tenant_id,
            budget=None if left is None else Budget(left),
            mask_pii=options.mask_pii,
            truncation=options.truncation,
            checks=options.checks,
        )
        return submit(
            gateway.database,
            request,
            gateway.settings,
            require=lambda _providers: beat(),
            report=lambda _done, _total: beat(),
            opened=partial(_begin, order),
        )


def _begin(order: OrderRow, connection: Connection, batch_id: int) -> None:
    """Say that the order is this batch, in the commit that opens it: no crash comes between."""
    begin_order(connection, order.id, batch_id)
    now = order_of(connection, order.tenant_id, order.id)
    if now is not None and now.status == Status.CANCELLING:
        cancel_batch(connection, batch_id)
    divide_budget(connection, order.tenant_id)


def _is_new(order: OrderRow) -> bool:
    return order.batch_id is None and order.status in _OPEN


def _told(error: UsageError) -> list[dict[str, Any]]:
    """List what is wrong, in OpenAI's words: no path of ours, and nothing of a line."""
    if not isinstance(error, InputError):
        return [{"code": "invalid_file", "message": str(error)}]
    code = "duplicate_custom_id" if isinstance(error, RepeatedError) else "invalid_line"
    if not error.line:
        return [{"code": "invalid_file", "message": f"{error.problem}: {error.fix}"}]
    fix = error.fix.partition("\n")[0]
    first = {"code": code, "message": f"{error.problem}: {fix}", "line": error.line}
    others = [{"code": code, "message": problem, "line": line} for line, problem in error.others]
    return [first, *others]
