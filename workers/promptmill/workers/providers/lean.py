"""An HTTP client, also for the SDKs, that does for a request only what a request of ours needs.

The SDKs hand their requests to an `httpx2.AsyncClient`. Half of what such a call costs is spent
between there and the socket: the URL is taken apart four times, headers are copied from form to
form, and redirects, cookies and authentication are looked after, of which we have none. Here a
request goes to aiohttp as it was made, by an SDK or for a proxy (`send`). What is of another kind
goes the usual way; and calls that no proxy is between go past all of it (`direct`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any

import aiohttp
import httpx2
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient
from httpx_aiohttp.httpx2.transport import AiohttpTransport, map_aiohttp_exceptions
from yarl import URL

from promptmill.workers.providers.connections import Connections


class LeanRequest(httpx2.Request):
    """A request with a body of bytes, and its headers as they were given."""

    def __init__(
        self, method: str, url: httpx2.URL, headers: Sequence[tuple[str, str]], content: bytes
    ) -> None:
        self.method, self.url, self.extensions = method, url, {}
        self.given = headers
        self.headers = httpx2.Headers(headers)
        self.stream = httpx2.ByteStream(content)
        self._content = content


class LeanResponse(httpx2.Response):
    """A response that was read to its end, and is not compressed."""

    def __init__(
        self, status: int, *, headers: Any, content: bytes, request: httpx2.Request
    ) -> None:
        stream = httpx2.ByteStream(content)
        super().__init__(status, headers=headers, stream=stream, request=request)
        self._content = content
        self.is_closed = self.is_stream_consumed = True


class LeanStream(httpx2.AsyncByteStream):
    """The body of an answer as it comes, for one reader, who closes it."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._answer.content
        try:
            while piece := await content.readany():
                yield piece
        except BaseException:
            self._answer.close()
            with map_aiohttp_exceptions():
                raise

    async def aclose(self) -> None:
        """Give the connection back, or end it where the answer has not come to its end."""
        self._answer.release()


class LeanClient(Httpx2AiohttpClient):
    """The shared client of all SDKs. *timeout* holds for each request, whatever an SDK says.

    *mounts* are the ways through a proxy, past which goes a URL that *is_direct*; *connections* are
    for those who need no more than bytes sent and an answer.
    """

    def __init__(
        self,
        *,
        timeout: aiohttp.ClientTimeout,
        connections: Connections,
        is_direct: Callable[[str], bool],
        **options: Any,
    ) -> None:
        super().__init__(timeout=timeout.total, **options)
        self._each, self._connections, self._is_direct = timeout, connections, is_direct
        self.accepted = ("Accept-Encoding", self.headers["accept-encoding"])

    def build_request(self, method: str, url: Any, **parts: Any) -> httpx2.Request:
        """Make a request. A POST of bytes is taken as it is."""
        content, headers = parts.get("content"), parts.get("headers")
        if not isinstance(content, bytes) or not headers or parts.get("params"):
            return super().build_request(method, url, **parts)
        pairs = headers.items() if hasattr(headers, "items") else headers
        return LeanRequest(method.upper(), _parsed(url), [self.accepted, *pairs], content)

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send it once, and read the answer to its end, or, by `stream=True`, to its head."""
        transport = self._transport_for_url(request.url)
        if (
            not isinstance(request, LeanRequest)
            or request.url.userinfo
            or not isinstance(transport, AiohttpTransport)
        ):
            return await super().send(request, **options)
        asked = self._ask(transport, request.method, request.url, request.given, request.content)
        try:
            answer = await asked
            if options.get("stream"):
                return httpx2.Response(
                    answer.status,
                    headers=answer.raw_headers,
                    stream=LeanStream(answer),
                    request=request,
                )
            async with answer:
                body = await answer.read()
        except Exception:
            with map_aiohttp_exceptions():
                raise
        make = httpx2.Response if "Content-Encoding" in answer.headers else LeanResponse
        return make(answer.status, headers=answer.raw_headers, content=body, request=request)

    def direct(self, url: str) -> Connections | None:
        """Return the connections by which *url* is reached, unless a proxy is between."""
        return self._connections if not self._mounts or self._is_direct(url) else None

    async def aclose(self) -> None:
        await self._connections.aclose()
        await super().aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._connections.aclose()
        await super().__aexit__(kind, error, trace)

    async def _ask(
        self,
        transport: AiohttpTransport,
        method: str,
        url: httpx2.URL,
        headers: Any,
        content: bytes,
    ) -> aiohttp.ClientResponse:
        return await self._session(transport).request(
            method,
            _for_aiohttp(url),
            headers=headers,
            data=content,
            allow_redirects=False,
            auto_decompress=False,
            timeout=self._each,
        )

    def _transport_for_url(self, url: httpx2.URL) -> httpx2.AsyncBaseTransport:
        if not self._mounts or self._is_direct(str(url)):
            return self._transport
        return super()._transport_for_url(url)

    def _session(self, transport: AiohttpTransport) -> aiohttp.ClientSession:
        if not isinstance(transport.client, aiohttp.ClientSession):
            transport.client = transport.get_client()
        return transport.client


@lru_cache(maxsize=256)
def _parsed(url: httpx2.URL | str) -> httpx2.URL:
    return httpx2.URL(url)


@lru_cache(maxsize=256)
def _for_aiohttp(url: httpx2.URL) -> URL:
    return URL(str(url))
