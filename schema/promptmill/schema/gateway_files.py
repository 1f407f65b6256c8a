"""Files of the gateway's clients: what SQL knows of them. The bytes are in a folder.

A statement names the tenant wherever it names a file, so nobody reaches another's.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant, parse_instant
from promptmill.schema.statement import Column, RowSet, Statement


class Purpose(StrEnum):
    """What a file is for, in OpenAI's words."""

    BATCH = "batch"
    OUTPUT = "batch_output"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file whose bytes are in their place."""

    id: str
    tenant_id: int
    filename: str
    purpose: Purpose
    bytes: int
    lines: int
    expires_s: float
    """from now"""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file, as its tenant may see it."""

    id: str
    filename: str
    purpose: str
    bytes: int
    lines: int
    created_at: datetime
    expires_at: datetime | None


_FILE = "id, filename, purpose, bytes, lines, created_at, expires_at"
_LIVE = "(expires_at is null or expires_at > {now})"
_add = Statement(
    """
insert into gateway_files (id, tenant_id, filename, purpose, bytes, lines, created_at, expires_at)
values (:id, :tenant_id, :filename, :purpose, :bytes, :lines, {now}, {after::expires_s})"""
)
_file = Statement(
    f"select {_FILE} from gateway_files where id = :id and tenant_id = :tenant_id and {_LIVE}"
)
_after = "(select no from gateway_files where id = :after and tenant_id = :tenant_id)"
_page = {
    newest_first: Statement(
        f"""
select {_FILE} from gateway_files where tenant_id = :tenant_id and {_LIVE}
  and (:purpose = '' or purpose = :purpose)
  and (:after = '' or no {"<" if newest_first else ">"} {_after})
order by no {"desc" if newest_first else "asc"} limit :most"""
    )
    for newest_first in (True, False)
}
_delete = Statement("delete from gateway_files where id = :id and tenant_id = :tenant_id")
_expired = Statement("select id, tenant_id from gateway_files where expires_at <= {now}")
_ids = RowSet("ids", (Column("id", "text"),))
_known = Statement("select f.id from gateway_files f join {ids} on ids.id = f.id", _ids)


def add_file(connection: Connection, new: NewFile) -> None:
    """Say that a file is there."""
    _add.run(
        connection,
        id=new.id,
        tenant_id=new.tenant_id,
        filename=new.filename,
        purpose=new.purpose.value,
        bytes=new.bytes,
        lines=new.lines,
        expires_s=new.expires_s,
    )


def file_of(connection: Connection, tenant_id: int, file_id: str) -> FileRow | None:
    """Read a file of a tenant; None: it has none of this id."""
    rows = _file.fetch(connection, id=file_id, tenant_id=tenant_id)
    return _row(rows[0]) if rows else None


def page_of_files(
    connection: Connection,
    tenant_id: int,
    *,
    after: str = "",
    purpose: str = "",
    newest_first: bool = True,
    most: int,
) -> list[FileRow]:
    """List files of a tenant; those behind the file *after*, where one is named."""
    found = _page[newest_first].fetch(
        connection, tenant_id=tenant_id, after=after, purpose=purpose, most=most
    )
    return [_row(row) for row in found]


def delete_file(connection: Connection, tenant_id: int, file_id: str) -> bool:
    """Forget a file of a tenant. False: there was none."""
    return bool(_delete.run(connection, id=file_id, tenant_id=tenant_id))


def expired_files(connection: Connection) -> list[tuple[str, int]]:
    """List the files whose time is over, and whose they are."""
    return [(row[0], row[1]) for row in _expired.fetch(connection)]


def known_files(connection: Connection, ids: Collection[str]) -> set[str]:
    """Say which of *ids* are files of anybody."""
    return {row[0] for row in _known.fetch(connection, {"ids": [(one,) for one in ids]})}


def _row(row: Any) -> FileRow:
    return FileRow(*[*row[:5], known_instant(row[5]), parse_instant(row[6])])
