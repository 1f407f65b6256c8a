"""What is answered, in OpenAI's words. A field that is not there is left out.

Source: `OpenAIFile`, `Batch`, `ListFilesResponse` and `ListBatchesResponse` of OpenAI's API
description, version 2.3.0.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType
from starlette.responses import Response

from promptmill.schema.gateway_batches import NO_COUNTS, Counts, OrderRow
from promptmill.schema.gateway_files import FileRow

Epoch = int | UnsetType


class FileShape(msgspec.Struct, frozen=True):
    """A file."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    expires_at: Epoch = UNSET
    object: str = "file"
    status: str = "processed"


class RequestCounts(msgspec.Struct, frozen=True):
    """How many requests of a batch came to which end. `failed` are those of the error file."""

    total: int
    completed: int
    failed: int


class BatchShape(msgspec.Struct, frozen=True, kw_only=True):
    """A batch."""

    id: str
    object: str = "batch"
    endpoint: str
    model: str | UnsetType = UNSET
    errors: Raw | UnsetType = UNSET
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | UnsetType = UNSET
    error_file_id: str | UnsetType = UNSET
    created_at: int
    in_progress_at: Epoch = UNSET
    expires_at: int
    finalizing_at: Epoch = UNSET
    completed_at: Epoch = UNSET
    failed_at: Epoch = UNSET
    expired_at: Epoch = UNSET
    cancelling_at: Epoch = UNSET
    cancelled_at: Epoch = UNSET
    request_counts: RequestCounts
    usage: Raw | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET


def file_shape(row: FileRow) -> FileShape:
    """Say a file."""
    return FileShape(
        row.id,
        row.bytes,
        int(row.created_at.timestamp()),
        row.filename,
        row.purpose,
        _epoch(row.expires_at),
    )


def batch_shape(row: OrderRow, counts: Counts = NO_COUNTS) -> BatchShape:
    """Say a batch."""
    return BatchShape(
        id=row.id,
        endpoint=row.endpoint,
        model=counts.models[0] if len(counts.models) == 1 else UNSET,
        errors=_raw(row.errors),
        input_file_id=row.input_file_id,
        completion_window=row.completion_window,
        status=row.status,
        output_file_id=row.output_file_id or UNSET,
        error_file_id=row.error_file_id or UNSET,
        created_at=int(row.created_at.timestamp()),
        in_progress_at=_epoch(row.in_progress_at),
        expires_at=int(row.expires_at.timestamp()),
        finalizing_at=_epoch(row.finalizing_at),
        completed_at=_epoch(row.completed_at),
        failed_at=_epoch(row.failed_at),
        expired_at=_epoch(row.expired_at),
        cancelling_at=_epoch(row.cancelling_at),
        cancelled_at=_epoch(row.cancelled_at),
        request_counts=RequestCounts(
            counts.total, counts.completed, counts.failed + counts.cancelled
        ),
        usage=_raw(row.usage),
        metadata=_raw(row.metadata),
    )


def page(shapes: Sequence[FileShape | BatchShape], most: int) -> Response:
    """Answer with the first *most* of *shapes*; there are more where there is one beyond them."""
    shown = shapes[:most]
    told: dict[str, Any] = {
        "object": "list",
        "data": shown,
        "has_more": len(shapes) > most,
        "first_id": shown[0].id if shown else "",  # OpenAI's schema requires both of a list
        "last_id": shown[-1].id if shown else "",
    }
    return answer(told)


def answer(value: object) -> Response:
    """Answer with *value* as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def _epoch(instant: datetime | None) -> Epoch:
    return UNSET if instant is None else int(instant.timestamp())


def _raw(text: str | None) -> Raw | UnsetType:
    return UNSET if text is None else Raw(text.encode())
