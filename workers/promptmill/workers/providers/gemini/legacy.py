"""Gemini through google-generativeai, for those who must: Google ended it in November 2025.

It is synchronous over REST, so each call takes a thread. Left to itself it asks again after a 401
(three requests) and for ten minutes after a 503, and it drops what it does not know of an answer,
thinking tokens among it. So its client builds, signs and sends the request, and the response is
taken out at the HTTP session, before any of that happens.
"""

import asyncio
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, NoReturn, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError

from promptmill.schema.secret import Secret
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.gemini import wire
from promptmill.workers.providers.http import (
    CONNECT_TIMEOUT_S,
    Lost,
    NotConnectedError,
    exchange,
)
from promptmill.workers.providers.operation import Operation, operation_of
from promptmill.workers.providers.reply import Reply

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # they say that support has ended; docs/providers.md does, too
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.generativeai import client as sdk
    from google.generativeai.protos import GenerateContentRequest
    from google.protobuf.json_format import ParseError

_PIECE = 64 * 1024
_UNKNOWN = re.compile(
    r'no field named "(\w{1,80})"|Invalid enum value \w+ for .* at \w+\.([\w.\[\]]{1,80})'
)


class GeminiLegacyProvider:
    """generateContent over REST in threads, one request for each call."""

    def __init__(
        self, name: str, *, api_key: Secret, base_url: str | None, concurrency: int
    ) -> None:
        self._name = name
        self._secrets = (api_key.reveal(),)
        # The SDK keeps its key in a global. The client made here keeps this one.
        sdk.configure(
            api_key=api_key.reveal(),
            transport="rest",
            client_options={"api_endpoint": base_url or wire.BASE_URL},
        )
        self._client = cast("Any", sdk.get_default_generative_client())
        self._session: requests.Session = self._client.transport._session  # noqa: SLF001
        door = _Door(pool_maxsize=concurrency)
        self._session.mount("https://", door)
        self._session.mount("http://", door)
        self._threads = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix=name)

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline. A late answer's thread ends soon after."""
        try:
            operation = operation_of(wire.OPERATIONS, call.endpoint)
            request = _request(call, operation)
        except UnsendableError as verdict:
            return errors.unsendable(self._name, verdict)
        loop = asyncio.get_running_loop()
        reply = await exchange(
            loop.run_in_executor(self._threads, self._send, request, call),
            timeout_s=call.timeout_s,
            sdk_errors=(GoogleAPICallError, GoogleAuthError, HTTPError, ValueError),
        )
        if isinstance(reply, Lost):
            return errors.lost(self._name, reply)
        return wire.value_of(self._name, operation, reply, call=call, secrets=self._secrets)

    async def close(self) -> None:
        """Close its connections; threads still open end by their deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def _send(self, request: Any, call: Call) -> Reply:
        try:
            self._client.generate_content(
                request,
                retry=None,
                timeout=call.timeout_s,
                metadata=[("x-client-request-id", call.request_id)],
            )
        except _ArrivedError as arrived:
            return arrived.reply
        msg = "the SDK answered without a response"
        raise ValueError(msg)


class _ArrivedError(Exception):
    """Carries a complete response out of the SDK."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.status)


class _Door(HTTPAdapter):
    """Sends a request, reads the whole response by its deadline, and leaves the SDK with it."""

    def send(  # type: ignore[override]  # it never returns
        self, request: requests.PreparedRequest, timeout: Any = None, **options: Any
    ) -> NoReturn:
        deadline = monotonic() + timeout
        options["stream"] = True
        limits = (min(CONNECT_TIMEOUT_S, timeout), timeout)
        try:
            response = super().send(request, timeout=limits, **options)
        except requests.ConnectTimeout:
            raise NotConnectedError from None
        except requests.ConnectionError as error:
            cause = error.args[0] if error.args else None
            if isinstance(getattr(cause, "reason", None), NewConnectionError):
                raise NotConnectedError from None
            raise
        headers = {name.lower(): value for name, value in response.headers.items()}
        raise _ArrivedError(Reply(response.status_code, headers, _body(response, deadline)))


def _body(response: requests.Response, deadline: float) -> bytes:
    pieces: list[bytes] = []
    while piece := response.raw.read1(_PIECE, decode_content=True):
        pieces.append(piece)
        if monotonic() > deadline:
            response.close()
            raise TimeoutError
    response.raw.release_conn()
    return b"".join(pieces)


def _request(call: Call, operation: Operation) -> Any:
    body = {**operation.body(call), "model": f"models/{call.model}"}
    try:
        return GenerateContentRequest.from_json(encode(body).decode())
    except (ValueError, ParseError) as error:
        named = _UNKNOWN.search(str(error))
        problem = "google-generativeai knows no such field; google-genai does"
        field = (named[1] or named[2].rstrip(".")) if named else "body"
        raise UnsendableError(field=field, problem=problem) from None
