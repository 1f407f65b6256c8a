"""A server that remembers what it was sent, for what the simulator does not keep."""

import json
import ssl
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import web

TOKEN = "ya29.of-google-auth"
_ANSWERS: dict[str, dict[str, Any]] = {
    "completions": {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]},
    "messages": {"content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"},
    "generateContent": {
        "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]
    },
}
_ANSWERS["streamGenerateContent"] = _ANSWERS["generateContent"]
_ANSWERS["rawPredict"] = _ANSWERS["messages"]
_ANSWERS["token"] = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}
# What differs between any two calls of an SDK, or names its transport or its time-outs.
_OWN = {"host", "content-length", "x-client-request-id", "x-stainless-read-timeout"}
_OWN |= {"x-stainless-timeout"}
_OWN |= {"x-stainless-async", "connection", "accept-encoding", "accept"}


class Recorder:
    """Answers every call with one word, or as it is told. A context manager on the running loop."""

    def __init__(
        self,
        answers: Mapping[str, dict[str, Any]] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answers, self._tls = answers or _ANSWERS, tls
        self.paths: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.url, self.port = "", 0

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def must_be_alike(self) -> None:
        """Fail unless the second request is the first, as far as a provider can tell."""
        assert self.paths[0] == self.paths[1]
        assert self.bodies[0] == self.bodies[1]
        both = self.headers[:2]
        theirs, ours = ({k: v for k, v in each.items() if k not in _OWN} for each in both)
        theirs["x-stainless-raw-response"] = ours.get("x-stainless-raw-response", "")
        assert ours == {name: value for name, value in theirs.items() if value}

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        body = await request.read()
        self.raw.append(body)
        self.bodies.append(json.loads(body) if body.startswith(b"{") else {"form": body.decode()})
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        word = request.path.replace(":", "/").rpartition("/")[2]
        return web.json_response(self._answers[word])
