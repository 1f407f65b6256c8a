"""`/v1/files`: what clients put in, and what they take out."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from promptmill.gateway.context import caller_of, gateway_of
from promptmill.gateway.errors import ApiError, no_file
from promptmill.gateway.folder import new_id
from promptmill.gateway.form import Form, taken_form
from promptmill.gateway.shapes import answer, file_shape, page
from promptmill.schema.gateway_files import (
    FileRow,
    NewFile,
    Purpose,
    add_file,
    delete_file,
    file_of,
    page_of_files,
)

router = APIRouter(prefix="/v1/files")

FILE_ID: Final = "file-"
_LONGEST_NAME = 255
DAY_S: Final = 86_400
_LEAST_S, _MOST_S = 3600, 30 * DAY_S
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": [Purpose.BATCH.value]},
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=_FORM)
async def create(request: Request) -> Response:
    """Take a file, whole or not at all."""
    gateway, caller = gateway_of(request), caller_of(request)
    limits = gateway.settings.gateway
    taking = taken_form(request, gateway.folder, file_field="file", most_bytes=limits.file_bytes)
    async with taking as form:
        expires_s = _checked(form, usual_s=limits.file_days * DAY_S)
        file_id = new_id(FILE_ID)
        await asyncio.to_thread(form.file.keep, gateway.folder.path(file_id))
        new = NewFile(
            file_id,
            caller.tenant_id,
            checked_name(form.filename),
            Purpose.BATCH,
            form.file.bytes,
            form.file.lines,
            expires_s,
        )

        def add() -> FileRow | None:
            with gateway.database.write() as connection:
                add_file(connection, new)
                return file_of(connection, caller.tenant_id, file_id)

        row = await run_in_threadpool(add)
    if row is None:
        raise no_file(file_id)
    return answer(file_shape(row))


@router.get("")
def list_files(
    request: Request,
    purpose: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
    after: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """List the tenant's files."""
    caller = caller_of(request)
    with gateway_of(request).database.read() as connection:
        rows = page_of_files(
            connection,
            caller.tenant_id,
            after=storable(after),
            purpose=storable(purpose),
            newest_first=order == "desc",
            most=limit + 1,
        )
    return page([file_shape(row) for row in rows], limit)


@router.get("/{file_id}")
def retrieve(request: Request, file_id: str) -> Response:
    """Describe a file."""
    return answer(file_shape(_found(request, file_id)))


@router.get("/{file_id}/content")
def content(request: Request, file_id: str) -> Response:
    """Send the bytes of a file."""
    row = _found(request, file_id)
    path = gateway_of(request).folder.path(row.id)
    if not path.exists():
        msg = f"The bytes of {row.id} are not in the folder of this gateway."
        raise ApiError(500, msg, code="content_missing")
    return FileResponse(path, media_type="application/octet-stream", filename=row.filename)


@router.delete("/{file_id}")
def delete(request: Request, file_id: str) -> Response:
    """Delete a file. A batch that is made of it already goes on."""
    gateway, caller = gateway_of(request), caller_of(request)
    file_id = storable(file_id)
    with gateway.database.write() as connection:
        if not delete_file(connection, caller.tenant_id, file_id):
            raise no_file(file_id)
    gateway.folder.remove(file_id)
    return answer({"id": file_id, "object": "file", "deleted": True})


def _found(request: Request, file_id: str) -> FileRow:
    caller = caller_of(request)
    with gateway_of(request).database.read() as connection:
        row = file_of(connection, caller.tenant_id, storable(file_id))
    if row is None:
        raise no_file(file_id)
    return row


def _checked(form: Form, *, usual_s: float) -> float:
    """Return for how many seconds the file is kept. Raises ApiError for what is not taken."""
    purpose = form.fields.get("purpose")
    if purpose != Purpose.BATCH:
        msg = f"The purpose is {(purpose or '')[:40]!r}, and files are taken for `batch` only."
        raise ApiError(400, msg, param="purpose", code="invalid_value")
    anchor = form.fields.get("expires_after[anchor]")
    seconds = form.fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return usual_s
    if anchor != "created_at" or not (seconds or "").isdecimal():
        msg = "expires_after has the anchor `created_at` and a number of seconds."
        raise ApiError(400, msg, param="expires_after", code="invalid_value")
    return checked_seconds(int((seconds or "0")[:10]), "expires_after.seconds")


def checked_seconds(seconds: int, param: str) -> int:
    """Return for how long a file is kept, if that can be asked for. Raises ApiError."""
    if not _LEAST_S <= seconds <= _MOST_S:
        msg = f"{param} is {seconds}, and must be from {_LEAST_S} to {_MOST_S}."
        raise ApiError(400, msg, param=param, code="invalid_value")
    return seconds


def checked_name(given: str) -> str:
    """Make a client's name for a file one that can be stored and sent: it names nothing here."""
    last = given.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char if char.isprintable() else "_" for char in last)[:_LONGEST_NAME]
    return shown or "file"


def storable(text: str) -> str:
    """Return *text* as a database can compare it: no id of ours has a NUL in it."""
    return text.replace("\0", "")
