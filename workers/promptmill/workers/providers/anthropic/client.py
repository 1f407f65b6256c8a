"""Claude through Anthropic's official SDK, without its retries, its models and its tracing."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import anthropic
from anthropic._models import FinalRequestOptions
from anthropic._types import RequestOptions

from promptmill.schema.requests import Endpoint
from promptmill.workers.providers.address import Address, address_by, post
from promptmill.workers.providers.anthropic.faults import fault_of
from promptmill.workers.providers.anthropic.messages import MESSAGES
from promptmill.workers.providers.anthropic.places import Place
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.http import TIMEOUT, Lost, exchange
from promptmill.workers.providers.judge import Judge
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.operation import operation_of
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.streaming import Stream, stream_of

# Said with each request, or the SDK would copy its defaults deeply for each.
OPTIONS: Final[RequestOptions] = {"max_retries": 0, "timeout": TIMEOUT, "params": {}}
_HEADERS: Final = {
    "anthropic-ratelimit-requests-limit": "rpm",
    "anthropic-ratelimit-input-tokens-limit": "itpm",
    "anthropic-ratelimit-output-tokens-limit": "otpm",
}
_OPERATIONS: Final = {Endpoint.CHAT: MESSAGES}
_ADDRESSES: Final = 256
"""of models, where these are in the address: as many as are kept"""


class AnthropicProvider:
    """All endpoints of Anthropic at one place, each by its operation."""

    def __init__(
        self,
        name: str,
        place: Place,
        *,
        http: LeanClient,
        secrets: tuple[str, ...],
        read_limit_headers: bool | None = None,
    ) -> None:
        self.place, self._http = place, http
        self._address = lru_cache(maxsize=_ADDRESSES)(self._ask_for_address)
        self.judge = Judge(
            name,
            fault_of,
            secrets=secrets,
            request_ids=("request-id",),
            # Their names are Anthropic's own: whoever sends them means the same.
            limit_headers={} if read_limit_headers is False else _HEADERS,
        )

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            operation = operation_of(_OPERATIONS, call.endpoint)
            body = operation.body(call)
            stream = stream_of(operation, call, body, secrets=self.judge.secrets)
            url, said = self.place.address(
                operation.path, body if stream is None else stream.ask(body)
            )
            sent = encode(said)
        except UnsendableError as verdict:
            return self.judge.unsendable(verdict)
        reply = await exchange(
            self._post(url, sent, call.request_id, stream),
            timeout_s=call.timeout_s,
            sdk_errors=(anthropic.AnthropicError,),
            listener=call.listener,
        )
        return self.judge.heard(operation, reply, call, stream)

    def request(self, call: Call) -> Mapping[str, Any]:
        """Say what would be sent for *call*. Raises UnsendableError."""
        return operation_of(_OPERATIONS, call.endpoint).body(call)

    def value(self, call: Call, reply: Reply) -> Answer | Refusal:
        """Tell what *reply* means for *call*, whichever way it came."""
        return self.judge.value(operation_of(_OPERATIONS, call.endpoint), reply, call)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    async def _post(
        self, url: str, body: bytes, request_id: str, stream: Stream | None
    ) -> Reply | Lost:
        signed = await self.place.signer.headers(url, body)
        return await post(
            self._http,
            self._address(url),
            body,
            {"X-Client-Request-Id": request_id, **signed},
            stream,
        )

    def _ask_for_address(self, url: str) -> Address:
        options = FinalRequestOptions.construct(method="post", url=url, content=b"", **OPTIONS)
        return address_by(self.place.client, options)
