"""Columns that name files or addresses (`--file-column`): parts of the prompt that a row makes."""

import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from promptmill.producer.reading.attachments import PREFIX, Attachments
from promptmill.producer.reading.columns import choice_of
from promptmill.producer.reading.lines import Line

_ADDRESSES: Final = ("https://", "http://", "gs://", "data:")


def parts_of(
    line: Line, row: Mapping[str, Any], columns: Sequence[str], files: Attachments
) -> Iterator[dict[str, Any]]:
    """Make a part of each file that *columns* of *row* name. Raises InputError."""
    for column in columns:
        if column not in row:
            raise line.refused(
                problem=f"the column {column!r} of --file-column is not there",
                fix=choice_of(row, column),
            )
        value = row[column]
        for name in value if isinstance(value, list) and value else [value]:
            if not isinstance(name, str) or not name or name.isspace():
                raise line.refused(
                    problem=f"{column} names no file",
                    fix="fill the column with a path or an address, or take the row out",
                )
            if name.startswith(_ADDRESSES):
                yield _addressed(line, name)
            else:
                yield files.part_of(name.removeprefix(PREFIX).removeprefix("//"))


def _addressed(line: Line, url: str) -> dict[str, Any]:
    """Make the part of an address, as the name at its end tells; an image, where it tells none."""
    if url.startswith("data:"):
        media_type = url.removeprefix("data:").partition(";")[0]
    else:
        media_type = mimetypes.guess_type(urlsplit(url).path)[0] or "image/"
    if media_type.startswith("audio/"):
        raise line.refused(
            problem="sounds are sent as bytes, not by their address",
            fix="fetch it, and name the file",
            value=url,
        )
    if media_type == "application/pdf":
        field = "file_data" if url.startswith("data:") else "file_url"
        return {"type": "file", "file": {field: url}}
    kind = "video_url" if media_type.startswith("video/") else "image_url"
    return {"type": kind, kind: {"url": url}}
