"""Uploads of the gateway's clients: files that come by parts. Statements name whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant
from promptmill.schema.statement import Statement

MOST_S = 3600
"""an upload that is not completed by then is expired, as OpenAI's is"""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload, as its tenant may see it."""

    id: str
    filename: str
    bytes: int
    """of the whole file, as its client said"""
    file_expires_s: int | None
    status: str
    """pending, completed, cancelled or expired"""
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part that came; its bytes lie under its id."""

    id: str
    upload_id: str
    bytes: int
    created_at: datetime


_add = Statement(
    """
insert into gateway_uploads (id, tenant_id, filename, bytes, file_expires_s, status, created_at,
  expires_at)
values (:id, :tenant_id, :filename, :bytes, :file_expires_s, 'pending', {now}, {after::most_s})"""
)
_upload = Statement(
    """
select id, filename, bytes, file_expires_s,
  case when status = 'pending' and expires_at <= {now} then 'expired' else status end,
  created_at, expires_at
from gateway_uploads where id = :id and tenant_id = :tenant_id"""
)
_move = Statement(
    """
update gateway_uploads set status = :status, file_id = :file_id
where id = :id and tenant_id = :tenant_id and status = 'pending' and expires_at > {now}"""
)
_hold = Statement(
    """
update gateway_uploads set bytes = bytes
where id = :id and tenant_id = :tenant_id and status = 'pending' and expires_at > {now}"""
)
_add_part = Statement(
    """
insert into gateway_parts (id, upload_id, bytes, created_at)
values (:id, :upload_id, :bytes, {now})"""
)
_parts = Statement(
    "select id, upload_id, bytes, created_at from gateway_parts where upload_id = :upload_id"
    " order by no"
)
_forget_parts = Statement("delete from gateway_parts where upload_id = :upload_id")
_over = Statement(
    """
select distinct u.id from gateway_uploads u join gateway_parts p on p.upload_id = u.id
where u.status <> 'pending' or u.expires_at <= {now}"""
)


def add_upload(
    connection: Connection,
    upload_id: str,
    tenant_id: int,
    *,
    filename: str,
    size: int,
    file_expires_s: int | None,
) -> None:
    """Begin an upload."""
    _add.run(
        connection,
        id=upload_id,
        tenant_id=tenant_id,
        filename=filename,
        bytes=size,
        file_expires_s=file_expires_s,
        most_s=MOST_S,
    )


def upload_of(connection: Connection, tenant_id: int, upload_id: str) -> UploadRow | None:
    """Read an upload of a tenant; None: it has none of this id."""
    rows = _upload.fetch(connection, id=upload_id, tenant_id=tenant_id)
    if not rows:
        return None
    row = rows[0]
    return UploadRow(*[*row[:5], known_instant(row[5]), known_instant(row[6])])


def add_part(
    connection: Connection, tenant_id: int, part_id: str, *, upload_id: str, size: int, most: int
) -> bool:
    """Add a part whose bytes are in their place.

    False: the upload takes none any more, or its parts would come to more than *most* bytes.
    """
    if not _hold.run(connection, id=upload_id, tenant_id=tenant_id):
        return False
    if sum(part.bytes for part in parts_of(connection, upload_id)) + size > most:
        return False
    _add_part.run(connection, id=part_id, upload_id=upload_id, bytes=size)
    return True


def parts_of(connection: Connection, upload_id: str) -> Sequence[PartRow]:
    """List the parts of an upload, in the order in which they came."""
    rows = _parts.fetch(connection, upload_id=upload_id)
    return [PartRow(*[*row[:3], known_instant(row[3])]) for row in rows]


def end_upload(
    connection: Connection, tenant_id: int, upload_id: str, status: str, *, file_id: str | None
) -> bool:
    """Complete an upload, with its file, or cancel it. False: it is not pending any more."""
    return bool(
        _move.run(connection, id=upload_id, tenant_id=tenant_id, status=status, file_id=file_id)
    )


def uploads_over(connection: Connection) -> list[str]:
    """List the uploads that take no part any more, and have parts still."""
    return [row[0] for row in _over.fetch(connection)]


def forget_parts(connection: Connection, upload_id: str) -> None:
    """Forget the parts of an upload, whose bytes are gone."""
    _forget_parts.run(connection, upload_id=upload_id)
