"""OpenAI's Batch API (https://platform.openai.com/docs/guides/batch): a file in, two files out.

The marker is in the metadata of the batch. Its file is made before it, and does nothing by itself:
one that is there twice costs nothing, and is gone after a month.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final

import httpx2
import msgspec
import openai
from openai.types import Batch

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint
from promptmill.workers.providers.asking import Asking
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.batches import (
    FULL,
    Handed,
    Missed,
    Row,
    Sought,
    Stage,
    Standing,
    rows_of,
)
from promptmill.workers.providers.chat import encode
from promptmill.workers.providers.fold import encode_body
from promptmill.workers.providers.http import Lost
from promptmill.workers.providers.openai.client import OpenAIProvider
from promptmill.workers.providers.reply import Reply, decode

_MARKER: Final = "promptmill"
_WINDOW: Final = "24h"
_CREATE_S: Final = 600.0
_PAGE: Final = 100
_STAGES: Final = {
    "completed": Stage.ENDED,
    "expired": Stage.ENDED,  # each job that it did not get to has a row that says so
    "cancelled": Stage.ENDED,
    "failed": Stage.REFUSED,
}
_MISSED: Final = {"batch_expired": Missed.EXPIRED, "batch_cancelled": Missed.CANCELLED}


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw
    request_id: str | None = None


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class OpenAIBatches:
    """See `BatchApi`."""

    endpoints = frozenset(
        {
            Endpoint.CHAT,
            Endpoint.RESPONSES,
            Endpoint.EMBEDDINGS,
            Endpoint.IMAGES,
            Endpoint.MODERATIONS,
        }
    )
    most_jobs = 50_000
    most_bytes = 200_000_000

    def __init__(self, provider: OpenAIProvider) -> None:
        self._provider = provider
        self._sdk = provider.sdk
        self._asking = Asking(
            provider.judge, sdk_errors=(openai.OpenAIError,), status_errors=(openai.APIStatusError,)
        )

    def line(self, call: Call) -> bytes:
        path, body = self._provider.request(call)
        url = f"/v1{path}"
        return encode({"custom_id": call.request_id, "method": "POST", "url": url, "body": body})

    async def create(self, handed: Handed, *, may: Callable[[], bool]) -> str | Refusal | None:
        content = b"\n".join(handed.lines)
        name = f"{handed.marker}.jsonl"
        file = await self._asking.ask(
            self._sdk.files.create(file=(name, content), purpose="batch"), timeout_s=_CREATE_S
        )
        if isinstance(file, Refusal):
            return file
        if not may():
            return None
        endpoint: Any = f"/v1{self._provider.path(handed.endpoint)}"
        made = await self._asking.ask(
            self._sdk.batches.create(
                input_file_id=file.id,
                endpoint=endpoint,
                completion_window=_WINDOW,
                metadata={_MARKER: handed.marker},
            )
        )
        return made if isinstance(made, Refusal) else made.id

    async def find(self, sought: Sought) -> str | Refusal | None:
        """Look through the batches from the newest on, as far back as it can have been made."""

        async def look() -> str | None:
            async for one in self._sdk.batches.list(limit=_PAGE):
                if (one.metadata or {}).get(_MARKER) == sought.marker:
                    return one.id
                if one.created_at < sought.since.timestamp():
                    break
            return None

        return await self._asking.ask(look())

    async def look(self, provider_id: str) -> Standing | Refusal:
        found = await self._asking.ask(self._sdk.batches.retrieve(provider_id))
        if isinstance(found, Refusal):
            return found
        if not isinstance(found, Batch):  # what is no JSON comes as a text
            return self._provider.judge.lost(Lost(sent=True, why="no batch"))
        stage = _STAGES.get(found.status, Stage.WORKING)
        counts = found.request_counts
        return Standing(
            stage,
            done=counts.completed + counts.failed if counts else 0,
            # Where there is none, it is absent, or an empty string.
            results=tuple(filter(None, (found.output_file_id, found.error_file_id))),
            problem=None if found.status == "completed" else found.status,
            left=Missed.CANCELLED if found.status == "cancelled" else None,
            refusal=self._refusal(found) if stage is Stage.REFUSED else None,
            bad_lines=tuple(one.line for one in _problems(found) if one.line),
        )

    async def cancel(self, provider_id: str) -> Refusal | None:
        answer = await self._asking.ask(self._sdk.batches.cancel(provider_id))
        return answer if isinstance(answer, Refusal) else None

    def rows(self, standing: Standing) -> AsyncGenerator[Row | Refusal, None]:
        return rows_of(standing, self._asking, self._open, _row)

    def read(self, call: Call, reply: Reply) -> Answer | Refusal:
        return self._provider.value(call, reply)

    async def _open(self, file: str) -> httpx2.Response:
        return await self._sdk.get(
            f"/files/{file}/content",
            cast_to=httpx2.Response,
            options={"headers": {"Accept": "application/binary"}},
            stream=True,
        )

    def _refusal(self, found: Batch) -> Refusal:
        problems = _problems(found)
        code = next((one.code for one in problems if one.code), None)
        said = next((one.message for one in problems if one.message), "")
        body = encode_body({"error": {"code": code, "message": said, "type": code}})
        refusal = self._provider.judge.refuse(Reply(400, {}, body))
        if code != FULL:
            return refusal
        return Refusal(ErrorKind.RATE, refusal.message, code=FULL)


def _problems(found: Batch) -> Iterable[Any]:
    return (found.errors and found.errors.data) or ()


def _row(line: bytes) -> Row | None:
    """Read a line of a result; what has no custom_id is nobody's."""
    told = decode(line, _Line)
    if told is None:
        return None
    if told.response is not None and told.response.status_code:
        headers = {"x-request-id": told.response.request_id or ""}
        came = Reply(told.response.status_code, headers, bytes(told.response.body))
        return Row(told.custom_id, came)
    error = told.error or _Error()
    if error.code in _MISSED:
        return Row(told.custom_id, _MISSED[error.code])
    # Also a status of 0, which users have seen beside counts that told of no failure.
    body = encode_body({"error": {"code": error.code, "message": error.message}})
    return Row(told.custom_id, Reply(500, {}, body))
