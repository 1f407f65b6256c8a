"""An HTTP client, also for the SDKs, that does for a request only what a request of ours needs.

The SDKs hand their requests to an `httpx2.AsyncClient`. Half of what such a call costs is spent
between there and the socket: the URL is taken apart four times, headers are copied from form to
form, and redirects, cookies and authentication are looked after, of which we have none. Here a
request goes to aiohttp as it was made, by an SDK (`send`) or by ourselves (`post_bytes`). What is
of another kind goes the usual way.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import httpx2
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient
from httpx_aiohttp.httpx2.transport import AiohttpTransport, map_aiohttp_exceptions
from yarl import URL


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


@dataclass(frozen=True, slots=True)
class LeanAnswer:
    """An answer that was read to its end: of a response only what is asked of it."""

    status_code: int
    headers: Mapping[str, str]
    """Looked up by names in any case."""
    content: bytes


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

    *mounts* are the ways through a proxy, past which goes a URL that *is_direct*.
    """

    def __init__(
        self, *, timeout: aiohttp.ClientTimeout, is_direct: Callable[[str], bool], **options: Any
    ) -> None:
        super().__init__(timeout=timeout.total, **options)
        self._each, self._is_direct = timeout, is_direct
        self._encodings = ("Accept-Encoding", self.headers["accept-encoding"])

    def build_request(self, method: str, url: Any, **parts: Any) -> httpx2.Request:
        """Make a request. A POST of bytes is taken as it is."""
        content, headers = parts.get("content"), parts.get("headers")
        if not isinstance(content, bytes) or not headers or parts.get("params"):
            return super().build_request(method, url, **parts)
        pairs = headers.items() if hasattr(headers, "items") else headers
        return LeanRequest(method.upper(), _parsed(url), [self._encodings, *pairs], content)

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

    async def post_bytes(
        self, url: str, headers: Mapping[str, str], content: bytes
    ) -> LeanAnswer | httpx2.Response:
        """POST *content* once, and read the answer to its end. A redirect is an answer."""
        target = _parsed(url)
        transport = self._transport_for_url(target)
        if target.userinfo or not isinstance(transport, AiohttpTransport):
            return await self.send(
                self.build_request("POST", url, headers=headers, content=content)
            )
        given = {self._encodings[0]: self._encodings[1], **headers}
        try:
            answer = await self._ask(transport, "POST", target, given, content)
            async with answer:
                body = await answer.read()
        except Exception:
            with map_aiohttp_exceptions():
                raise
        if "Content-Encoding" in answer.headers:
            return httpx2.Response(answer.status, headers=answer.raw_headers, content=body)
        return LeanAnswer(answer.status, answer.headers, body)

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
