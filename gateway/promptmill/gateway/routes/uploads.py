"""`/v1/uploads`: files that come by parts, of which each may be sent again."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict, Field

from promptmill.gateway.context import Gateway, caller_of, gateway_of
from promptmill.gateway.errors import ApiError
from promptmill.gateway.folder import new_id
from promptmill.gateway.form import taken_form
from promptmill.gateway.routes.batches import ExpiresAfter
from promptmill.gateway.routes.files import DAY_S, FILE_ID, checked_name, checked_seconds
from promptmill.gateway.shapes import FileShape, answer, file_shape
from promptmill.schema.database import Connection
from promptmill.schema.gateway_files import FileRow, NewFile, Purpose, add_file, file_of
from promptmill.schema.gateway_uploads import (
    PartRow,
    UploadRow,
    add_part,
    add_upload,
    end_upload,
    parts_of,
    upload_of,
)

router = APIRouter(prefix="/v1/uploads")

UPLOAD_ID: Final = "upload_"
PART_ID: Final = "part_"
_PART_BYTES: Final = 64 << 20
"""as OpenAI takes at most"""
_READ_BYTES: Final = 1 << 20


class CreateUpload(BaseModel):
    """What is to come."""

    model_config = ConfigDict(extra="forbid")
    filename: Annotated[str, Field(max_length=255)]
    purpose: Literal["batch"]
    bytes: Annotated[int, Field(gt=0)]
    mime_type: Annotated[str, Field(max_length=100)]
    expires_after: ExpiresAfter | None = None


class CompleteUpload(BaseModel):
    """Of which parts, in this order, the file is made."""

    model_config = ConfigDict(extra="forbid")
    part_ids: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=10_000)]
    md5: Annotated[str, Field(max_length=100)] | None = None


class UploadShape(msgspec.Struct, frozen=True):
    """An upload."""

    id: str
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    status: str
    file: FileShape | UnsetType = UNSET
    object: str = "upload"
    purpose: str = Purpose.BATCH.value


@router.post("")
def create(request: Request, asked: CreateUpload) -> Response:
    """Begin an upload, which has an hour."""
    gateway, caller = gateway_of(request), caller_of(request)
    most = gateway.settings.gateway.file_bytes
    if asked.bytes > most:
        msg = f"The file is larger than the {most:,} bytes that are taken here: split it."
        raise ApiError(413, msg, param="bytes", code="file_too_large")
    expires = asked.expires_after
    upload_id = new_id(UPLOAD_ID)
    with gateway.database.write() as connection:
        add_upload(
            connection,
            upload_id,
            caller.tenant_id,
            filename=checked_name(asked.filename),
            size=asked.bytes,
            file_expires_s=None
            if expires is None
            else checked_seconds(expires.seconds, "expires_after.seconds"),
        )
        return answer(_shape(_found(connection, caller.tenant_id, upload_id)))


@router.post("/{upload_id}/parts")
async def take_part(request: Request, upload_id: str) -> Response:
    """Take a part, whole or not at all."""
    gateway, caller = gateway_of(request), caller_of(request)

    def require() -> UploadRow:
        with gateway.database.read() as connection:
            return _pending(connection, caller.tenant_id, upload_id)

    upload = await asyncio.to_thread(require)
    taking = taken_form(request, gateway.folder, file_field="data", most_bytes=_PART_BYTES)
    async with taking as form:
        part_id, size = new_id(PART_ID), form.file.bytes
        await asyncio.to_thread(form.file.keep, gateway.folder.path(part_id))

        def add() -> PartRow | None:
            with gateway.database.write() as connection:
                fits = add_part(
                    connection,
                    caller.tenant_id,
                    part_id,
                    upload_id=upload.id,
                    size=size,
                    most=upload.bytes,
                )
                return parts_of(connection, upload.id)[-1] if fits else None

        part = await asyncio.to_thread(add)
    if part is None:
        gateway.folder.remove(part_id)
        msg = f"The upload takes no more: its parts may have {upload.bytes:,} bytes together."
        raise ApiError(400, msg, param="data", code="upload_too_large")
    return answer(
        {
            "id": part.id,
            "object": "upload.part",
            "created_at": int(part.created_at.timestamp()),
            "upload_id": part.upload_id,
        }
    )


@router.post("/{upload_id}/complete")
def complete(request: Request, upload_id: str, asked: CompleteUpload) -> Response:
    """Make the file of its parts."""
    gateway, caller = gateway_of(request), caller_of(request)
    with gateway.database.read() as connection:
        upload = _pending(connection, caller.tenant_id, upload_id)
        parts = {part.id: part for part in parts_of(connection, upload.id)}
    chosen = [parts.get(part_id) for part_id in asked.part_ids]
    if None in chosen or len(set(asked.part_ids)) < len(chosen):
        msg = "part_ids names a part that this upload has not, or one twice."
        raise ApiError(400, msg, param="part_ids", code="invalid_value")
    size = sum(part.bytes for part in chosen if part)
    if size != upload.bytes:
        msg = f"The parts have {size:,} bytes, and the upload said {upload.bytes:,}."
        raise ApiError(400, msg, param="part_ids", code="invalid_value")
    file_id = new_id(FILE_ID)
    lines = _joined(gateway, asked, file_id)
    usual_s = gateway.settings.gateway.file_days * DAY_S
    expires_s = upload.file_expires_s or usual_s
    with gateway.database.write() as connection:
        ended = end_upload(connection, caller.tenant_id, upload.id, "completed", file_id=file_id)
        if ended:
            new = NewFile(
                file_id, caller.tenant_id, upload.filename, Purpose.BATCH, size, lines, expires_s
            )
            add_file(connection, new)
        row = _found(connection, caller.tenant_id, upload.id)
        file = file_of(connection, caller.tenant_id, file_id)
    if not ended:
        gateway.folder.remove(file_id)
        raise _over(row.status)
    return answer(_shape(row, file))


@router.post("/{upload_id}/cancel")
def cancel(request: Request, upload_id: str) -> Response:
    """Take no more of an upload; its parts are deleted."""
    gateway, caller = gateway_of(request), caller_of(request)
    with gateway.database.write() as connection:
        upload = _pending(connection, caller.tenant_id, upload_id)
        end_upload(connection, caller.tenant_id, upload.id, "cancelled", file_id=None)
        return answer(_shape(_found(connection, caller.tenant_id, upload.id)))


def _joined(gateway: Gateway, asked: CompleteUpload, file_id: str) -> int:
    """Write the parts one after the other to the file; return its lines. Raises ApiError."""
    written, digest = gateway.folder.begin(), hashlib.md5(usedforsecurity=False)
    try:
        for part_id in asked.part_ids:
            for chunk in _chunks(gateway.folder.path(part_id)):
                written.write(chunk)
                digest.update(chunk)
        if asked.md5 is not None and digest.hexdigest() != asked.md5.lower():
            msg = "The parts have another MD5 sum than the one that was given."
            raise ApiError(400, msg, param="md5", code="checksum_mismatch")
        written.keep(gateway.folder.path(file_id))
    finally:
        written.discard()
    return written.lines


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_READ_BYTES):
            yield chunk


def _found(connection: Connection, tenant_id: int, upload_id: str) -> UploadRow:
    row = upload_of(connection, tenant_id, upload_id.replace("\0", ""))
    if row is None:
        msg = f"No such Upload object: {upload_id[:100]}"
        raise ApiError(404, msg, code="not_found", param="id")
    return row


def _pending(connection: Connection, tenant_id: int, upload_id: str) -> UploadRow:
    row = _found(connection, tenant_id, upload_id)
    if row.status != "pending":
        raise _over(row.status)
    return row


def _over(status: str) -> ApiError:
    return ApiError(400, f"The upload is {status}.", code="invalid_status")


def _shape(row: UploadRow, file: FileRow | None = None) -> UploadShape:
    return UploadShape(
        row.id,
        row.bytes,
        int(row.created_at.timestamp()),
        int(row.expires_at.timestamp()),
        row.filename,
        row.status,
        UNSET if file is None else file_shape(file),
    )
