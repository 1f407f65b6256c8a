"""Gemini's Batch API (https://ai.google.dev/gemini-api/docs/batch-api): a file in, a file out.

The marker is the display name of the batch. As with single calls the SDK says how things are
addressed, and what goes there is ours.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint, native_of
from promptmill.workers.providers.asking import Asking
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.batches import (
    Handed,
    Missed,
    Row,
    Sought,
    Stage,
    Standing,
    rows_of,
)
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.fold import encode_body
from promptmill.workers.providers.gemini.client import GeminiProvider
from promptmill.workers.providers.gemini.faults import error_event
from promptmill.workers.providers.gemini.own_schema import in_own_words
from promptmill.workers.providers.gemini.wire import path_of
from promptmill.workers.providers.reply import Reply, decode

_CREATE_S: Final = 600.0
_PAGE: Final = 100
_MOST_PAGES: Final = 50
_ENDED: Final = {
    "SUCCEEDED": None,
    "EXPIRED": Missed.EXPIRED,
    "CANCELLED": Missed.CANCELLED,
}
_FAILED: Final = "FAILED"
_FORBIDDEN: Final = 403
_STATUS: Final = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 14: 503, 16: 401}
"""HTTP's for gRPC's, by which errors of rows may be told."""


class _Output(msgspec.Struct, frozen=True, rename="camel"):
    responses_file: str | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    state: str = ""
    display_name: str = ""
    output: _Output = _Output()
    batch_stats: dict[str, Any] = {}


class _Batch(msgspec.Struct):
    name: str
    metadata: _Metadata = _Metadata()
    error: dict[str, Any] | None = None

    @property
    def state(self) -> str:
        return self.metadata.state.rpartition("STATE_")[2]

    @property
    def done(self) -> int:
        stats = self.metadata.batch_stats
        counts = (stats.get(f"{kind}RequestCount", 0) for kind in ("successful", "failed"))
        return sum(int(count) for count in counts)


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    operations: list[_Batch] = []
    next_page_token: str = ""


class _File(msgspec.Struct):
    name: str


class _Uploaded(msgspec.Struct):
    file: _File


class _Line(msgspec.Struct):
    key: str
    response: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None


class GeminiBatches:
    """See `BatchApi`."""

    endpoints = frozenset({Endpoint.CHAT})
    most_jobs = 50_000
    most_bytes = 2_000_000_000

    def __init__(self, provider: GeminiProvider) -> None:
        self._provider = provider
        self._asking = Asking(provider.judge, sdk_errors=(ValueError,))

    def line(self, call: Call) -> bytes:
        request = self._provider.request(call)
        if native_of(call.body) is None:
            request = in_own_words(request)
        return encode({"key": call.request_id, "request": request})

    async def create(self, handed: Handed, *, may: Callable[[], bool]) -> str | Refusal | None:
        try:
            path = path_of(handed.model, "batchGenerateContent")
        except UnsendableError as verdict:
            return self._provider.judge.unsendable(verdict)
        file = await self._upload(handed)
        if isinstance(file, Refusal):
            return file
        if not may():
            return None
        asked = {"displayName": handed.marker, "inputConfig": {"fileName": file}}
        made = await self._asking.told(self._send("POST", path, encode({"batch": asked})), _Batch)
        return made if isinstance(made, Refusal) else made.name

    async def find(self, sought: Sought) -> str | Refusal | None:
        """Look through all batches that are there, page by page."""
        token = ""
        for _ in range(_MOST_PAGES):
            query = f"?pageSize={_PAGE}{f'&pageToken={token}' if token else ''}"
            page = await self._asking.told(self._send("GET", f"batches{query}"), _Page)
            if isinstance(page, Refusal):
                return page
            for one in page.operations:
                if one.metadata.display_name == sought.marker:
                    return one.name
            token = page.next_page_token
            if not token:
                return None
        return Refusal(
            ErrorKind.TRANSIENT, "too many batches to look through", code="batch_undecided"
        )

    async def look(self, provider_id: str) -> Standing | Refusal:
        found = await self._asking.told(self._send("GET", provider_id), _Batch)
        if isinstance(found, Refusal):
            return found
        if found.state == _FAILED:
            body = encode_body({"error": found.error or {"message": "the batch failed"}})
            return Standing(
                Stage.REFUSED, refusal=self._provider.judge.refuse(Reply(400, {}, body))
            )
        if found.state not in _ENDED:
            return Standing(Stage.WORKING, done=found.done)
        file = found.metadata.output.responses_file
        return Standing(
            Stage.ENDED,
            done=found.done,
            results=(file,) if file else (),
            problem=None if found.state == "SUCCEEDED" else found.state.lower(),
            left=_ENDED[found.state],
        )

    async def cancel(self, provider_id: str) -> Refusal | None:
        answer = await self._asking.ask(self._send("POST", f"{provider_id}:cancel", b"{}"))
        return answer if isinstance(answer, Refusal) else None

    async def rows(self, standing: Standing) -> AsyncGenerator[Row | Refusal, None]:
        async with aclosing(rows_of(standing, self._asking, self._open, _row)) as rows:
            async for row in rows:
                # Of a file that is gone it says "no permission, or it may not exist".
                if isinstance(row, Refusal) and row.http_status == _FORBIDDEN:
                    yield replace(row, kind=ErrorKind.REQUEST)
                else:
                    yield row

    def read(self, call: Call, reply: Reply) -> Answer | Refusal:
        return self._provider.value(call, reply)

    async def _upload(self, handed: Handed) -> str | Refusal:
        """Make a file of the requests; the first answer tells where they go."""
        content = b"\n".join(handed.lines)
        begin = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        named = encode({"file": {"displayName": handed.marker, "mimeType": "application/jsonl"}})
        begun = await self._asking.ask(
            self._send("POST", "files", named, below="/upload", headers=begin)
        )
        if isinstance(begun, Refusal):
            return begun
        whole = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
        where = begun.headers.get("x-goog-upload-url", "")
        sending = self._send("POST", where, content, headers=whole, is_whole=True)
        made = await self._asking.told(sending, _Uploaded, timeout_s=_CREATE_S)
        return made if isinstance(made, Refusal) else made.file.name

    async def _open(self, file: str) -> httpx2.Response:
        return await self._send("GET", f"{file}:download?alt=media", stream=True)

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        below: str = "",
        headers: Mapping[str, str] | None = None,
        is_whole: bool = False,
        stream: bool = False,
    ) -> httpx2.Response:
        """Send to *path* of the API, or, where it *is_whole*, to that address at the same host."""
        address = self._provider.address("files" if is_whole else path.partition("?")[0])
        url = urlsplit(address.url)
        if is_whole:
            other = urlsplit(path)
            url = url._replace(path=other.path, query=other.query)
        else:
            url = url._replace(path=f"{below}{url.path}", query=path.partition("?")[2])
        return await self._provider.send(
            method, urlunsplit(url), {**address.headers, **(headers or {})}, content, stream=stream
        )


def _row(line: bytes) -> Row | None:
    """Read a line of a result; what has no key is nobody's."""
    told = decode(line, _Line)
    if told is None:
        return None
    if response := bytes(told.response):
        return Row(told.key, Reply(200, {}, response))
    error = dict(told.error or {})
    code = error.get("code")
    if isinstance(code, int) and code in _STATUS:
        error["code"] = _STATUS[code]
    return Row(told.key, error_event({"error": error}))
