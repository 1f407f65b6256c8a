"""A multipart form with a file in it, taken apart while it comes: only chunks of it are held."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from promptmill.gateway.errors import ApiError
from promptmill.gateway.folder import FileFolder, Partial

_WRITE_BYTES = 1 << 18
_MOST_FIELDS = 20
_MOST_FIELD_BYTES = 4096
_ENVELOPE_BYTES = 1 << 16
"""what a form may have beside its file"""


@dataclass(frozen=True, slots=True)
class Form:
    """What came: fields by name, and the file."""

    fields: Mapping[str, str]
    filename: str
    file: Partial


@asynccontextmanager
async def taken_form(
    request: Request, folder: FileFolder, *, file_field: str, most_bytes: int
) -> AsyncIterator[Form]:
    """Take the form of *request*; what is not kept of its file by the end of the block is gone.

    Raises ApiError for what is no form, has no such file, or is too large.
    """
    boundary = _boundary(request)
    if int(request.headers.get("content-length") or 0) > most_bytes + _ENVELOPE_BYTES:
        raise _too_large(most_bytes)
    partial = await asyncio.to_thread(folder.begin)
    try:
        yield await _take(request, _Parts(boundary, file_field), partial, most_bytes)
    finally:
        await asyncio.to_thread(partial.discard)


async def _take(request: Request, parts: "_Parts", partial: Partial, most_bytes: int) -> Form:
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        parts.write(chunk)
        if parts.file_bytes > most_bytes or taken > most_bytes + _ENVELOPE_BYTES:
            raise _too_large(most_bytes)
        if parts.waiting_bytes >= _WRITE_BYTES:
            await asyncio.to_thread(partial.write, parts.take())
    await asyncio.to_thread(partial.write, parts.take())
    if parts.filename is None or not parts.is_whole:
        msg = f"There is no file: send a multipart form with the field `{parts.file_field}`."
        raise ApiError(400, msg, param=parts.file_field, code="missing_required_parameter")
    return Form(parts.fields, parts.filename, partial)


class _Parts:
    """The parts of a form: what is to be written of its file, and all of its fields."""

    def __init__(self, boundary: bytes, file_field: str) -> None:
        self.file_field = file_field
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.file_bytes = 0
        self.waiting_bytes = 0
        self.is_whole = False
        self._waiting = list[bytes]()
        self._header, self._value, self._disposition = b"", b"", b""
        self._name, self._field, self._is_file = "", b"", False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._on_end,
                "on_end": self._on_form_end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take *chunk* apart. Raises ApiError for what is no form."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _no_form() from None

    def take(self) -> bytes:
        """Hand out what came of the file since the last time."""
        taken = b"".join(self._waiting)
        self._waiting, self.waiting_bytes = [], 0
        return taken

    def _begin(self) -> None:
        self._header, self._value, self._disposition, self._field = b"", b"", b"", b""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        self._is_file = self._name == self.file_field and self.filename is None
        if self._is_file:
            self.filename = options.get(b"filename", b"").decode(errors="replace")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._waiting.append(data[start:end])
            self.waiting_bytes += end - start
            self.file_bytes += end - start
        else:
            self._field += data[start:end]
            if len(self._field) > _MOST_FIELD_BYTES or len(self.fields) >= _MOST_FIELDS:
                raise _no_form()

    def _on_end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._field.decode(errors="replace")

    def _on_form_end(self) -> None:
        self.is_whole = True


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise _no_form()
    boundary = options[b"boundary"]
    if len(boundary) > 200:
        raise _no_form()
    return boundary


def _no_form() -> ApiError:
    return ApiError(400, "The body is not a multipart form that can be read.", code="invalid_form")


def _too_large(most_bytes: int) -> ApiError:
    msg = f"The file is larger than the {most_bytes:,} bytes that are taken here: split it."
    return ApiError(413, msg, param="file", code="file_too_large")
