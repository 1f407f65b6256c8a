"""Our short way to the wire sends what the SDKs' own public calls send, and reads as they do."""

import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from aiohttp import web
from google import genai
from google.genai import types

from promptmill.workers.providers.base import Answer, Call
from promptmill.workers.providers.http import open_http
from tests.providers.dialects import CANARY, Harness
from tests.providers.recorder import Recorder

_TALK: Any = [{"role": "user", "content": "Zanzibar"}]


async def by_openai(url: str) -> None:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=CANARY, max_retries=0)
    await client.chat.completions.with_raw_response.create(model="m-1", messages=_TALK, seed=7)
    await client.close()


async def by_anthropic(url: str) -> None:
    client = anthropic.AsyncAnthropic(base_url=url, api_key=CANARY, max_retries=0)
    await client.messages.with_raw_response.create(model="m-1", messages=_TALK, max_tokens=9)
    await client.close()


async def by_gemini(url: str) -> None:
    http = httpx2.AsyncClient()
    options = types.HttpOptions(base_url=url, api_version="v1beta", httpx_async_client=http)
    client = genai.Client(api_key=CANARY, http_options=options)
    config = types.GenerateContentConfig(max_output_tokens=9)
    content = types.Content(role="user", parts=[types.Part(text="Zanzibar")])
    await client.aio.models.generate_content(model="m-1", contents=[content], config=config)
    await http.aclose()


async def by_openai_stream(url: str) -> None:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=CANARY, max_retries=0)
    options: Any = {"include_usage": True}
    stream = await client.chat.completions.create(
        model="m-1", messages=_TALK, seed=7, stream=True, stream_options=options
    )
    await stream.close()
    await client.close()


async def by_anthropic_stream(url: str) -> None:
    client = anthropic.AsyncAnthropic(base_url=url, api_key=CANARY, max_retries=0)
    stream = await client.messages.create(model="m-1", messages=_TALK, max_tokens=9, stream=True)
    await stream.close()
    await client.close()


async def by_gemini_stream(url: str) -> None:
    http = httpx2.AsyncClient()
    options = types.HttpOptions(base_url=url, api_version="v1beta", httpx_async_client=http)
    client = genai.Client(api_key=CANARY, http_options=options)
    config = types.GenerateContentConfig(max_output_tokens=9)
    content = types.Content(role="user", parts=[types.Part(text="Zanzibar")])
    async for _ in await client.aio.models.generate_content_stream(
        model="m-1", contents=[content], config=config
    ):
        pass
    await http.aclose()


PUBLIC: dict[str, tuple[Callable[[str], Awaitable[None]], dict[str, Any]]] = {
    "openai": (by_openai, {"messages": _TALK, "seed": 7}),
    "anthropic": (by_anthropic, {"messages": _TALK, "max_tokens": 9}),
    "gemini": (by_gemini, {"messages": _TALK, "max_tokens": 9}),
}
STREAMED = {
    "openai": (by_openai_stream, {"messages": _TALK, "seed": 7, "stream": True}),
    "anthropic": (by_anthropic_stream, {"messages": _TALK, "max_tokens": 9, "stream": True}),
    "gemini": (by_gemini_stream, {"messages": _TALK, "max_tokens": 9, "stream": True}),
}


@pytest.mark.parametrize("adapter", PUBLIC)
@pytest.mark.parametrize("public", [PUBLIC, STREAMED], ids=["whole", "streamed"])
def test_what_goes_out_is_what_the_public_call_would_send(
    harness: Harness,
    adapter: str,
    public: dict[str, tuple[Callable[[str], Awaitable[None]], dict[str, Any]]],
) -> None:
    call_publicly, body = public[adapter]

    async def record() -> Recorder:
        async with Recorder() as recorder:
            await call_publicly(recorder.url)
            base_url = f"{recorder.url}/v1" if adapter == "openai" else recorder.url
            call = Call(model="m-1", body=body, request_id="j1-f1", timeout_s=20)
            assert isinstance(await harness.provider(adapter, base_url).complete(call), Answer)
            return recorder

    sent = harness.run(record())
    sent.must_be_alike()
    assert sent.headers[1]["x-client-request-id"] == "j1-f1"


async def served(answer: Callable[[web.Request], Awaitable[web.Response]], path: str) -> Any:
    """POST to a server that answers so, by the shared client; return the response."""
    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with open_http(concurrency=2) as http:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
            return await http.send(
                http.build_request("POST", url, headers={"X-A": "a"}, content=b"{}")
            )
    finally:
        await runner.cleanup()


def test_a_compressed_answer_is_read(harness: Harness) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["accept-encoding"]
        body = gzip.compress(json.dumps({"a": "b" * 1000}).encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    assert harness.run(served(answer, "/x")).json() == {"a": "b" * 1000}


def test_a_redirect_is_not_followed(harness: Harness) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    assert harness.run(served(answer, "/x")).status_code == 307


def test_a_query_in_the_address_is_kept(harness: Harness) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(dict(request.query))

    assert harness.run(served(answer, "/x?api-version=1%2B2")).json() == {"api-version": "1+2"}
