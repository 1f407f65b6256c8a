"""A server that remembers what it was sent, for what the simulator does not keep."""

import json
import ssl
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import web

_ANSWERS: dict[str, dict[str, Any]] = {
    "completions": {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]},
    "messages": {"content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"},
    "generateContent": {
        "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]
    },
}
_ANSWERS["streamGenerateContent"] = _ANSWERS["generateContent"]


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

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.bodies.append(json.loads(await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        word = request.path.replace(":", "/").rpartition("/")[2]
        return web.json_response(self._answers[word])
