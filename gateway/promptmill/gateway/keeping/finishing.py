"""Bring batches to their end: write what was answered, and what was not, to two files.

A file is made only where it has lines. Both are on the disk before SQL names them, in the commit
that ends the batch; of two gateways that do so at once, one does, and the other's files go.
"""

import time
from collections.abc import Callable

import msgspec
import structlog

from promptmill.gateway.context import Gateway
from promptmill.gateway.folder import new_id
from promptmill.gateway.routes.files import DAY_S, FILE_ID
from promptmill.producer import control
from promptmill.producer.export.openai_batch import BATCH_COLUMNS, OpenAIBatch
from promptmill.producer.export.places import placed
from promptmill.schema.exporting import Selection, export_rows, one_moment
from promptmill.schema.gateway_batches import (
    NO_COUNTS,
    Counts,
    OrderRow,
    Status,
    counts_of,
    end_order,
    finalize_order,
    open_orders,
    tokens_of,
)
from promptmill.schema.gateway_files import (
    NewFile,
    Purpose,
    add_file,
    delete_file,
    expired_files,
    known_files,
)
from promptmill.schema.gateway_uploads import forget_parts, parts_of, uploads_over
from promptmill.schema.order_events import announce_order
from promptmill.schema.states import JobState

_log = structlog.get_logger(__name__)
_TIDY_S = 60.0
_ORPHAN_S = 86_400.0
"""a file that SQL does not know for so long is nobody's: an upload that was broken off"""


class Finishing:
    """The last part of the work."""

    role = "gateway-finish"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tidy_at = time.monotonic()

    def turn(self, beat: Callable[[], None]) -> None:
        """Look at all that has begun and not ended, and move on what can be."""
        with self._gateway.database.read() as connection:
            orders = [one for one in open_orders(connection) if one.batch_id is not None]
            counts = counts_of(connection, [one.batch_id for one in orders if one.batch_id])
        for order in orders:
            beat()
            self._move_on(order, counts.get(order.batch_id or 0, NO_COUNTS), beat)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_S
            self._tidy()

    def _move_on(self, order: OrderRow, counts: Counts, beat: Callable[[], None]) -> None:
        if order.status == Status.IN_PROGRESS:
            if counts.ended:
                self._finalize(order, Status.COMPLETED)
                self._end(order, Status.COMPLETED, counts, beat)
            elif order.is_late:
                self._finalize(order, Status.EXPIRED)
            return
        ends_as = Status(order.ends_as or Status.CANCELLED)
        if not counts.ended:
            # What runs is paid for: it is finished, and is in the file of answers.
            assert order.batch_id is not None  # noqa: S101  as `turn` chose
            control.cancel(self._gateway.database, order.batch_id)
            return
        self._end(order, ends_as, counts, beat)

    def _finalize(self, order: OrderRow, ends_as: Status) -> None:
        with self._gateway.database.write() as connection:
            finalize_order(connection, order.id, ends_as)

    def _end(
        self, order: OrderRow, ends_as: Status, counts: Counts, beat: Callable[[], None]
    ) -> None:
        """Write the files, and end the batch with them."""
        assert order.batch_id is not None  # noqa: S101  as `turn` chose
        database, folder = self._gateway.database, self._gateway.folder
        ids = new_id(FILE_ID), new_id(FILE_ID)
        paths = tuple(folder.path(one) for one in ids)
        with placed(paths) as files, one_moment(database) as connection:
            sheet = OpenAIBatch(*files, expired=ends_as is Status.EXPIRED)
            everything = Selection(order.batch_id, frozenset(JobState), BATCH_COLUMNS)
            for rows in export_rows(connection, everything):
                sheet.write(rows)
                beat()
            usage = _usage(tokens_of(connection, order.batch_id))
        lines = (sheet.answers, sheet.errors)
        made = [
            self._new_file(order, name, kind, count)
            for name, kind, count in zip(ids, ("output", "error"), lines, strict=True)
        ]
        with database.write() as connection:
            ended = end_order(
                connection,
                order.id,
                ends_as,
                output_file_id=made[0].id if made[0] else None,
                error_file_id=made[1].id if made[1] else None,
                usage=usage,
            )
            if ended:
                for new in filter(None, made):
                    add_file(connection, new)
                announce_order(connection, order.tenant_id, order.id, ends_as)
        if not ended:
            for name in ids:
                folder.remove(name)
            return
        _log.info("order ended", order=order.id, status=ends_as.value, total=counts.total)

    def _new_file(self, order: OrderRow, file_id: str, kind: str, lines: int) -> NewFile | None:
        folder = self._gateway.folder
        if not lines:
            folder.remove(file_id)
            return None
        usual_s = self._gateway.settings.gateway.file_days * DAY_S
        return NewFile(
            file_id,
            order.tenant_id,
            f"{order.id}_{kind}.jsonl",
            Purpose.OUTPUT,
            folder.path(file_id).stat().st_size,
            lines,
            order.output_expires_s or usual_s,
        )

    def _tidy(self) -> None:
        """Delete files whose time is over, and what broken uploads left."""
        database, folder = self._gateway.database, self._gateway.folder
        with database.read() as connection:
            expired = expired_files(connection)
        for file_id, tenant_id in expired:
            with database.write() as connection:
                delete_file(connection, tenant_id, file_id)
            folder.remove(file_id)
        self._drop_parts()
        old = {path.name for path in folder.older_than(_ORPHAN_S)}
        with database.read() as connection:
            orphans = old - known_files(connection, old)
        for name in orphans:
            folder.remove(name)

    def _drop_parts(self) -> None:
        """Delete the parts of uploads that are over: their files are made, or will not be."""
        database, folder = self._gateway.database, self._gateway.folder
        with database.read() as connection:
            parts = {name: parts_of(connection, name) for name in uploads_over(connection)}
        for upload_id, gone in parts.items():
            for part in gone:
                folder.remove(part.id)
            with database.write() as connection:
                forget_parts(connection, upload_id)


def _usage(tokens: tuple[int, int, int, int]) -> str:
    """Say the tokens of a batch as its `usage`."""
    put_in, cached, came_out, reasoning = tokens
    told = {
        "input_tokens": put_in,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": came_out,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": put_in + came_out,
    }
    return msgspec.json.encode(told).decode()
