"""Claude through Anthropic's official SDK, without its retries, its models and its tracing."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import anthropic
from anthropic._models import FinalRequestOptions
from anthropic._types import RequestOptions

from promptmill.schema.requests import Endpoint
from promptmill.workers.providers import errors
from promptmill.workers.providers.address import Address, address_by, post
from promptmill.workers.providers.anthropic.faults import fault_of
from promptmill.workers.providers.anthropic.messages import MESSAGES
from promptmill.workers.providers.anthropic.places import Place
from promptmill.workers.providers.base import NO_CALL, Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.http import TIMEOUT, Lost, exchange
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.operation import Envelope, Operation, operation_of, read_reply
from promptmill.workers.providers.reply import Reply, limits_told
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
        self._name, self.place, self._secrets = name, place, secrets
        self._http = http
        self._address = lru_cache(maxsize=_ADDRESSES)(self._ask_for_address)
        # Their names are Anthropic's own: whoever sends them means the same.
        self._limit_headers = {} if read_limit_headers is False else _HEADERS

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            operation = operation_of(_OPERATIONS, call.endpoint)
            body = operation.body(call)
            stream = stream_of(operation, call, body, secrets=self._secrets)
            url, said = self.place.address(
                operation.path, body if stream is None else stream.ask(body)
            )
            sent = encode(said)
        except UnsendableError as verdict:
            return errors.unsendable(self._name, verdict)
        reply = await exchange(
            self._post(url, sent, call.request_id, stream),
            timeout_s=call.timeout_s,
            sdk_errors=(anthropic.AnthropicError,),
            listener=call.listener,
        )
        if stream is None:
            return self._value(operation, reply, call)
        return stream.told(self._value(operation, stream.whole(reply), call))

    def request(self, call: Call) -> Mapping[str, Any]:
        """Say what would be sent for *call*. Raises UnsendableError."""
        return operation_of(_OPERATIONS, call.endpoint).body(call)

    def value(self, call: Call, reply: Reply) -> Answer | Refusal:
        """Tell what *reply* means for *call*, whichever way it came."""
        return self._value(operation_of(_OPERATIONS, call.endpoint), reply, call)

    def refuse(self, reply: Reply) -> Refusal:
        """Tell what an error means that is about no call."""
        return self._refuse(reply, NO_CALL)

    def lost(self, loss: Lost) -> Refusal:
        """Tell what it means that no complete answer came."""
        return errors.lost(self._name, loss)

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

    def _value(self, operation: Operation, reply: Reply | Lost, call: Call) -> Answer | Refusal:
        if isinstance(reply, Lost):
            return errors.lost(self._name, reply)
        if 200 <= reply.status < 300:
            return self._read(operation, reply, call)
        return self._refuse(reply, call)

    def _read(self, operation: Operation, reply: Reply, call: Call) -> Answer | Refusal:
        envelope = self._envelope(reply)
        read = read_reply(operation, call, reply, envelope)
        if isinstance(read, Answer):
            return read
        return errors.unanswered(
            self._name,
            reply,
            read,
            secrets=self._secrets,
            usage=operation.usage(reply),
            request_id=envelope.request_id,
        )

    def _refuse(self, reply: Reply, call: Call) -> Refusal:
        envelope = self._envelope(reply)
        return errors.refused(
            self._name,
            reply,
            fault_of(reply),
            call=call,
            secrets=self._secrets,
            request_id=envelope.request_id,
            limits=envelope.limits,
        )

    def _envelope(self, reply: Reply) -> Envelope:
        told = limits_told(reply.headers, self._limit_headers)
        return Envelope(reply.headers.get("request-id"), told)
