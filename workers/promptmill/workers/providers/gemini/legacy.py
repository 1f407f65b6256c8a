"""Gemini through google-generativeai, for those who must: Google ended it in November 2025.

It is synchronous over REST, so each call takes a thread. Left to itself it asks again after a 401
(three requests) and for ten minutes after a 503, and it drops what it does not know of an answer,
thinking tokens among it. So its client builds, signs and sends the request, and the response is
taken out at the HTTP session, before any of that happens.
"""

import asyncio
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, NoReturn, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError

from promptmill.schema.network import DIRECT, NetworkSettings
from promptmill.schema.secret import Secret
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.blocking import lead
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.connection import NotConnectedError
from promptmill.workers.providers.connections import CONNECT_TIMEOUT_S
from promptmill.workers.providers.gemini import wire
from promptmill.workers.providers.gemini.embed import EMBED
from promptmill.workers.providers.gemini.generate import GENERATE
from promptmill.workers.providers.http import Lost, exchange
from promptmill.workers.providers.operation import Operation, operation_of
from promptmill.workers.providers.reply import Reply
from promptmill.workers.providers.streaming import Stream, stream_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # they say that support has ended; docs/providers.md does, too
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.generativeai import client as sdk
    from google.generativeai.protos import EmbedContentRequest, GenerateContentRequest
    from google.protobuf.json_format import ParseError

_PIECE = 64 * 1024
_UNKNOWN = re.compile(
    r'no field named "(\w{1,80})"|Invalid enum value \w+ for .* at \w+\.([\w.\[\]]{1,80})'
)
_ALT = re.compile(r"(?:%24|\$)alt=[^&]*")
"""How the SDK asks for the answer: with numbers for words such as STOP, and a stream as one array,
of which nothing can be read before its end."""
_SAID: Final[Mapping[str, tuple[str, Any]]] = {
    GENERATE.path: ("generate_content", GenerateContentRequest),
    EMBED.path: ("embed_content", EmbedContentRequest),
}
"""How the SDK calls an operation, and what it knows of its request."""


class GeminiLegacyProvider:
    """All endpoints of Gemini over REST in threads, one request for each call."""

    def __init__(
        self,
        name: str,
        *,
        api_key: Secret,
        base_url: str | None,
        concurrency: int,
        network: NetworkSettings = DIRECT,
    ) -> None:
        self.judge = wire.judge_of(name, (api_key.reveal(),))
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
        lead(self._session, network, base_url or wire.BASE_URL)
        self._threads = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix=name)

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline. A late answer's thread ends soon after."""
        try:
            operation = operation_of(wire.OPERATIONS, call.endpoint)
            body = operation.body(call)
            stream = stream_of(operation, call, body, secrets=self.judge.secrets)
            request = _request(operation, call.model, body)
        except UnsendableError as verdict:
            return self.judge.unsendable(verdict)
        reply = await exchange(
            self._post(operation, request, call, stream),
            timeout_s=call.timeout_s,
            sdk_errors=(GoogleAPICallError, GoogleAuthError, HTTPError, ValueError),
            listener=call.listener,
        )
        return self.judge.heard(operation, reply, call, stream)

    async def close(self) -> None:
        """Close its connections; threads still open end by their deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def _post(
        self, operation: Operation, request: Any, call: Call, stream: Stream | None
    ) -> Reply | Lost:
        loop = asyncio.get_running_loop()
        if stream is None:
            return await loop.run_in_executor(self._threads, self._send, operation, request, call)
        told = _Told(loop, stream)
        reply = await loop.run_in_executor(self._threads, self._send_streamed, request, call, told)
        return reply or stream.end()

    def _send(self, operation: Operation, request: Any, call: Call) -> Reply:
        method = getattr(self._client, _SAID[operation.path][0])
        arrived = self._open(method, request, call)
        return arrived.reply()

    def _send_streamed(self, request: Any, call: Call, told: "_Told") -> Reply | None:
        """Tell what comes of a stream; return a reply that is none."""
        arrived = self._open(self._client.stream_generate_content, request, call)
        if not told.starts(arrived.response.status_code, arrived.headers):
            return arrived.reply()
        for piece in arrived.pieces():
            told.feed(piece)
        return None

    def _open(self, method: Callable[..., Any], request: Any, call: Call) -> "_ArrivedError":
        deadline = monotonic() + call.timeout_s
        try:
            method(
                request,
                retry=None,
                timeout=call.timeout_s,
                metadata=[("x-client-request-id", call.request_id)],
            )
        except _ArrivedError as arrived:
            arrived.deadline = deadline
            return arrived
        msg = "the SDK answered without a response"
        raise ValueError(msg)


class _ArrivedError(Exception):
    """Carries a response out of the SDK, its body still to be read."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.deadline = 0.0
        super().__init__(response.status_code)

    def reply(self) -> Reply:
        """Read it to its end."""
        return Reply(self.response.status_code, self.headers, b"".join(self.pieces()))

    def pieces(self) -> Iterator[bytes]:
        """Read the body as it comes, by the deadline."""
        while piece := self.response.raw.read1(_PIECE, decode_content=True):
            yield piece
            if monotonic() > self.deadline:
                self.response.close()
                raise TimeoutError
        self.response.raw.release_conn()


class _Door(HTTPAdapter):
    """Sends a request, and leaves the SDK with the response."""

    def send(  # type: ignore[override]  # it never returns
        self, request: requests.PreparedRequest, timeout: Any = None, **options: Any
    ) -> NoReturn:
        options["stream"] = True
        limits = (min(CONNECT_TIMEOUT_S, timeout), timeout)
        streamed = ":streamGenerateContent?" in (request.url or "")
        request.url = _ALT.sub(f"alt={'sse' if streamed else 'json'}", request.url or "")
        try:
            response = super().send(request, timeout=limits, **options)
        except (requests.ConnectTimeout, requests.exceptions.ProxyError):
            raise NotConnectedError from None
        except requests.ConnectionError as error:
            cause = error.args[0] if error.args else None
            if isinstance(getattr(cause, "reason", None), NewConnectionError):
                raise NotConnectedError from None
            raise
        raise _ArrivedError(response)


class _Told:
    """A stream that is read in a thread and folded on the loop, in the order of its pieces."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: Stream) -> None:
        self._loop, self._stream = loop, stream
        self.starts = stream.starts

    def feed(self, piece: bytes) -> None:
        self._loop.call_soon_threadsafe(self._stream.feed, piece)


def _request(operation: Operation, model: str, body: Mapping[str, Any]) -> Any:
    written = encode({**body, "model": f"models/{model}"})
    try:
        return _SAID[operation.path][1].from_json(written.decode())
    except (ValueError, ParseError) as error:
        named = _UNKNOWN.search(str(error))
        problem = "google-generativeai knows no such field; google-genai does"
        field = (named[1] or named[2].rstrip(".")) if named else "body"
        raise UnsendableError(field=field, problem=problem) from None
