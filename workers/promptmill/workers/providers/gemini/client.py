"""Gemini through google-genai, the SDK that Google maintains.

Its public call makes models of the request, of the configuration and of the answer, and what lies
below tries again by itself: together more CPU than the request takes. So the SDK says once how a
model is asked (it knows key, address and headers), and each request goes out with the body that is
ours (as for google-generativeai).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import httpx2
from google import genai
from google.genai import types

from promptmill.schema.secret import Secret
from promptmill.workers.providers.address import Address, post
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.gemini import wire
from promptmill.workers.providers.http import Lost, exchange
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.operation import operation_of
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.signing import Signer
from promptmill.workers.providers.streaming import Stream, stream_of

_ADDRESSES: Final = 256
"""of models, as many as are kept"""


def by_key(api_key: Secret, base_url: str | None, http: httpx2.AsyncClient) -> genai.Client:
    """Make the SDK's client for Google AI, or for who is at *base_url*."""
    return genai.Client(
        vertexai=False,
        api_key=api_key.reveal(),
        http_options=types.HttpOptions(
            base_url=base_url or wire.BASE_URL,
            api_version=wire.API_VERSION,
            httpx_async_client=http,
        ),
    )


def on_vertex(
    credentials: Any, *, project: str, region: str, base_url: str | None, http: httpx2.AsyncClient
) -> genai.Client:
    """Make the SDK's client for Vertex AI; it knows the addresses of regions."""
    return genai.Client(
        vertexai=True,
        credentials=credentials,
        project=project,
        location=region,
        http_options=types.HttpOptions(base_url=base_url, httpx_async_client=http),
    )


class GeminiProvider:
    """All endpoints of Gemini, by the SDK's client, with the response as it came over HTTP."""

    def __init__(
        self,
        name: str,
        client: genai.Client,
        *,
        http: LeanClient,
        signer: Signer,
        secrets: tuple[str, ...],
    ) -> None:
        self._client, self._http, self._signer = client, http, signer
        self.judge = wire.judge_of(name, secrets)
        at_vertex = bool(client.vertexai)
        self._operations = wire.VERTEX_OPERATIONS if at_vertex else wire.OPERATIONS
        self._publisher = "publishers/google/" if at_vertex else ""
        self.address = lru_cache(maxsize=_ADDRESSES)(self._ask_for_address)

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            operation = operation_of(self._operations, call.endpoint)
            body = operation.body(call)
            stream = stream_of(operation, call, body, secrets=self.judge.secrets)
            method = operation.path if stream is None else stream.path
            path = wire.path_of(call.model, method, publisher=self._publisher)
            sent = encode(body)
        except UnsendableError as verdict:
            return self.judge.unsendable(verdict)
        reply = await exchange(
            self._post(path, sent, call.request_id, stream),
            timeout_s=call.timeout_s,
            sdk_errors=(ValueError,),  # an address or a key that the SDK refuses
            listener=call.listener,
        )
        return self.judge.heard(operation, reply, call, stream)

    def request(self, call: Call) -> Mapping[str, Any]:
        """Say what would be sent for *call*. Raises UnsendableError."""
        return operation_of(self._operations, call.endpoint).body(call)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        stream: bool = False,
    ) -> httpx2.Response:
        """Send what is no call of a model; see `address`."""
        request = self._http.build_request(method, url, headers=headers, content=content)
        return await self._http.send(request, stream=stream)

    def value(self, call: Call, reply: Reply) -> Answer | Refusal:
        """Tell what *reply* means for *call*, whichever way it came."""
        return self.judge.value(operation_of(self._operations, call.endpoint), reply, call)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    async def _post(
        self, path: str, body: bytes, request_id: str, stream: Stream | None
    ) -> Reply | Lost:
        address = self.address(path)
        signed = await self._signer.headers(address.url, body)
        return await post(
            self._http, address, body, {"X-Client-Request-Id": request_id, **signed}, stream
        )

    def _ask_for_address(self, path: str) -> Address:
        """Let the SDK say where and with which headers it would send a request to *path*."""
        sender = self._client._api_client  # noqa: SLF001  tests hold it to what the public call sends
        request = sender._build_request("post", path, {})  # noqa: SLF001
        return Address(request.url, request.headers)
