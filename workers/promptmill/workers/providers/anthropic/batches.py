"""Anthropic's Message Batches (https://docs.claude.com/en/docs/build-with-claude/batch-processing).

A batch has no field for a marker. It is found again by when it was made and how many requests it
has, and known for ours by the custom_id of a result, which name job and fence: so only once it has
ended. Until then one that may be ours keeps us from handing in again.
"""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import anthropic
import httpx2
import msgspec

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint
from promptmill.workers.providers.anthropic.client import OPTIONS, AnthropicProvider
from promptmill.workers.providers.anthropic.faults import error_event
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
from promptmill.workers.providers.chat import encode
from promptmill.workers.providers.reply import Reply, decode

_PATH: Final = "/v1/messages/batches"
_CREATE_S: Final = 600.0
"""Less than `lane.settle_s`, or who leads next hands in what is still going up."""
_PAGE: Final = 100
_MISSED: Final = {"expired": Missed.EXPIRED, "canceled": Missed.CANCELLED}
_UNDECIDED: Final = Refusal(
    ErrorKind.TRANSIENT,
    "a batch that may be this one is still at work: its results will tell",
    code="batch_undecided",
)


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def done(self) -> int:
        return self.succeeded + self.errored

    @property
    def total(self) -> int:
        return self.processing + self.done + self.canceled + self.expired


class _Batch(msgspec.Struct):
    id: str
    processing_status: str
    created_at: datetime
    request_counts: _Counts

    @property
    def has_ended(self) -> bool:
        return self.processing_status == "ended"


class _Page(msgspec.Struct):
    data: list[_Batch]
    has_more: bool = False


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


class AnthropicBatches:
    """See `BatchApi`."""

    endpoints = frozenset({Endpoint.CHAT})
    most_jobs = 100_000
    most_bytes = 256_000_000

    def __init__(self, provider: AnthropicProvider) -> None:
        self._provider = provider
        self._client, self._url = provider.place.client, f"{provider.place.url}{_PATH}"
        self._asking = Asking(
            provider.judge,
            sdk_errors=(anthropic.AnthropicError,),
            status_errors=(anthropic.APIStatusError,),
        )

    def line(self, call: Call) -> bytes:
        return encode({"custom_id": call.request_id, "params": self._provider.request(call)})

    async def create(self, handed: Handed, *, may: Callable[[], bool]) -> str | Refusal | None:
        if not may():
            return None
        content = b'{"requests":[%s]}' % b",".join(handed.lines)
        made = await self._asking.told(self._post("", content), _Batch, timeout_s=_CREATE_S)
        return made if isinstance(made, Refusal) else made.id

    async def find(self, sought: Sought) -> str | Refusal | None:
        """Look through the batches from the newest on, as far back as it can have been made."""
        after, undecided = "", False
        while True:
            query = f"?limit={_PAGE}{f'&after_id={after}' if after else ''}"
            page = await self._asking.told(self._get(query), _Page)
            if isinstance(page, Refusal):
                return page
            for one in page.data:
                if one.created_at < sought.since:
                    return _UNDECIDED if undecided else None
                if one.id in sought.others or one.request_counts.total != sought.jobs:
                    continue
                if not one.has_ended:
                    undecided = True
                    continue
                is_it = await self._holds(one.id, sought.custom_ids)
                if isinstance(is_it, Refusal):
                    return is_it
                if is_it:
                    return one.id
            if not page.has_more or not page.data:
                return _UNDECIDED if undecided else None
            after = page.data[-1].id

    async def look(self, provider_id: str) -> Standing | Refusal:
        found = await self._asking.told(self._get(f"/{provider_id}"), _Batch)
        if isinstance(found, Refusal):
            return found
        counts = found.request_counts
        if not found.has_ended:
            return Standing(Stage.WORKING, done=counts.done)
        problem = "expired" if counts.expired else "cancelled" if counts.canceled else None
        return Standing(Stage.ENDED, done=counts.done, results=(found.id,), problem=problem)

    async def cancel(self, provider_id: str) -> Refusal | None:
        answer = await self._asking.told(self._post(f"/{provider_id}/cancel", b"{}"), _Batch)
        return answer if isinstance(answer, Refusal) else None

    def rows(self, standing: Standing) -> AsyncGenerator[Row | Refusal, None]:
        return rows_of(standing, self._asking, self._open, _row)

    def read(self, call: Call, reply: Reply) -> Answer | Refusal:
        return self._provider.value(call, reply)

    async def _holds(self, provider_id: str, custom_ids: Collection[str]) -> bool | Refusal:
        """Tell by the first of its results whether a batch is ours."""
        rows = self.rows(Standing(Stage.ENDED, results=(provider_id,)))
        async with aclosing(rows):
            first = await anext(rows, None)
        if isinstance(first, Refusal):
            return first
        return first is not None and first.custom_id in custom_ids

    async def _open(self, provider_id: str) -> httpx2.Response:
        return await self._get(f"/{provider_id}/results", stream=True)

    async def _post(self, path: str, content: bytes) -> httpx2.Response:
        return await self._client.post(
            f"{self._url}{path}", content=content, options=OPTIONS, cast_to=httpx2.Response
        )

    async def _get(self, path: str, *, stream: bool = False) -> httpx2.Response:
        return await self._client.get(
            f"{self._url}{path}", options=OPTIONS, cast_to=httpx2.Response, stream=stream
        )


def _row(line: bytes) -> Row | None:
    """Read a line of the results; what has no custom_id is nobody's."""
    told = decode(line, _Line)
    if told is None:
        return None
    if told.result.type in _MISSED:
        return Row(told.custom_id, _MISSED[told.result.type])
    if message := bytes(told.result.message):
        return Row(told.custom_id, Reply(200, {}, message))
    return Row(told.custom_id, error_event(told.result.error or {}))
