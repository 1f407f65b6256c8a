"""OpenAI through its official SDK, and every server that speaks its dialect.

The SDK gives key, headers and address, once; its retries and its models are left out.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import httpx2
import openai
from openai._models import FinalRequestOptions
from openai._types import RequestOptions

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint
from promptmill.schema.secret import Secret
from promptmill.workers.providers.address import Address, address_by, post
from promptmill.workers.providers.base import Answer, Begun, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.http import TIMEOUT, Lost, exchange
from promptmill.workers.providers.judge import Judge
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.openai.background import (
    ASK_TIMEOUT_S,
    LOOK_TIMEOUT_S,
    STILL_MADE,
    StillMade,
    answer_of,
)
from promptmill.workers.providers.openai.chat import chat
from promptmill.workers.providers.openai.embeddings import EMBEDDINGS
from promptmill.workers.providers.openai.faults import error_inside, fault_of
from promptmill.workers.providers.openai.images import IMAGES
from promptmill.workers.providers.openai.moderations import MODERATIONS
from promptmill.workers.providers.openai.responses import RESPONSES
from promptmill.workers.providers.openai.server import server_of
from promptmill.workers.providers.operation import Operation, operation_of
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.streaming import Stream, stream_of

# Said with each request, or the SDK would copy its defaults deeply, and make up a key, for each.
_OPTIONS: Final[RequestOptions] = {
    "max_retries": 0,
    "timeout": TIMEOUT,
    "params": {},
    "idempotency_key": "never sent",
    "security": {"bearer_auth": True},
}


class OpenAIProvider:
    """All endpoints of one server, each by its operation."""

    def __init__(
        self,
        name: str,
        *,
        api_key: Secret,
        base_url: str | None,
        http: LeanClient,
        read_limit_headers: bool | None = None,
        on_azure: bool = False,
    ) -> None:
        server = server_of(base_url, read_limit_headers=read_limit_headers, on_azure=on_azure)
        self.judge = Judge(
            name,
            fault_of,
            secrets=(api_key.reveal(),),
            request_ids=("x-request-id",),
            limit_headers=server.limit_headers,
            error_inside=error_inside,
        )
        self._operations = {
            Endpoint.CHAT: chat(server),
            Endpoint.RESPONSES: RESPONSES,
            Endpoint.EMBEDDINGS: EMBEDDINGS,
            Endpoint.IMAGES: IMAGES,
            Endpoint.MODERATIONS: MODERATIONS,
        }
        base_url = base_url or "https://api.openai.com/v1"
        self._url = base_url.rstrip("/")
        self.sdk = openai.AsyncOpenAI(
            api_key=api_key.reveal(),
            base_url=base_url,
            max_retries=0,
            timeout=TIMEOUT,
            http_client=http,
        )
        self._http = http
        self._address = lru_cache(maxsize=len(self._operations))(self._ask_for_address)

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            operation = operation_of(self._operations, call.endpoint)
            body = operation.body(call)
            stream = None
            if call.begun is None:  # else nobody is connected to be told of it
                stream = stream_of(operation, call, body, secrets=self.judge.secrets)
            sent = encode(body if stream is None else stream.ask(body))
        except UnsendableError as verdict:
            return self.judge.unsendable(verdict)
        if call.begun is not None:
            return await self._look_after(call.begun, operation, sent, call)
        reply = await exchange(
            self._post(operation, sent, call.request_id, stream),
            timeout_s=call.timeout_s,
            sdk_errors=(openai.OpenAIError,),
            listener=call.listener,
        )
        return self.judge.heard(operation, reply, call, stream)

    async def _look_after(
        self, begun: Begun, operation: Operation, body: bytes, call: Call
    ) -> Answer | Refusal:
        """Complete what is made in the background. See `background`."""
        ended = await answer_of(
            begun,
            ask=lambda: exchange(
                self._post(operation, body, call.request_id, None),
                timeout_s=min(call.timeout_s, ASK_TIMEOUT_S),
                sdk_errors=(openai.OpenAIError,),
            ),
            look=lambda response_id: exchange(
                self._get(f"{operation.path}/{response_id}"),
                timeout_s=LOOK_TIMEOUT_S,
                sdk_errors=(openai.OpenAIError,),
            ),
            timeout_s=call.timeout_s,
        )
        if isinstance(ended, StillMade):
            message = (
                f"{self.judge.provider} still makes the response; the next attempt looks for it"
            )
            return Refusal(ErrorKind.TRANSIENT, message, http_status=200, code=STILL_MADE)
        value = self.judge.value(operation, ended.reply, call)
        if ended.is_over and begun.known is not None and not isinstance(value, Answer):
            await begun.forget()
        return value

    def path(self, endpoint: Endpoint) -> str:
        """Name where *endpoint* is, below the base URL. Raises UnsendableError."""
        return operation_of(self._operations, endpoint).path

    def request(self, call: Call) -> tuple[str, Mapping[str, Any]]:
        """Say where *call* would be sent, and what. Raises UnsendableError."""
        operation = operation_of(self._operations, call.endpoint)
        return operation.path, operation.body(call)

    def value(self, call: Call, reply: Reply) -> Answer | Refusal:
        """Tell what *reply* means for *call*, whichever way it came."""
        return self.judge.value(operation_of(self._operations, call.endpoint), reply, call)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    async def _post(
        self, operation: Operation, body: bytes, request_id: str, stream: Stream | None
    ) -> Reply | Lost:
        return await post(
            self._http,
            self._address(operation.path),
            body,
            {"X-Client-Request-Id": request_id},
            stream,
        )

    def _ask_for_address(self, path: str) -> Address:
        options = FinalRequestOptions.construct(
            method="post", url=f"{self._url}{path}", content=b"", **_OPTIONS
        )
        return address_by(self.sdk, options)

    async def _get(self, path: str) -> Reply:
        try:
            response = await self.sdk.get(
                f"{self._url}{path}", options=_OPTIONS, cast_to=httpx2.Response
            )
        except openai.APIStatusError as error:
            response = error.response
        return Reply(response.status_code, response.headers, response.content)
