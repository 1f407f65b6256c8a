"""`/v1/chat/completions`, `/v1/responses`, `/v1/embeddings`: calls that are waited for."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from promptmill.gateway.context import caller_of, gateway_of
from promptmill.gateway.errors import ApiError
from promptmill.gateway.live import LiveCall, Reply, refusal

router = APIRouter()

_CHAT: Final = "/v1/chat/completions"
_FIRST_LOOK_S, _LAST_LOOK_S = 0.03, 0.5
_LOOK_SHARE = 0.1
"""of what it has waited so far, a call waits until the next look"""
_SIGN_S = 10.0
"""after so long a stream says that it still waits, or a proxy would close it"""
_DONE: Final = b"data: [DONE]\n\n"
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.post(_CHAT, openapi_extra=_BODY)
@router.post("/v1/responses", openapi_extra=_BODY)
@router.post("/v1/embeddings", openapi_extra=_BODY)
async def answer_now(request: Request) -> Response:
    """Make one call, and answer with what came of it."""
    body = _object(await request.body())
    streams, options = body.pop("stream", None), body.pop("stream_options", None)
    url = request.url.path
    if streams and url != _CHAT:
        msg = f"Answers of {url} are not streamed here: leave `stream` out."
        raise ApiError(400, msg, param="stream", code="unsupported_value")
    call = LiveCall(gateway_of(request), caller_of(request).tenant_id, url)
    await run_in_threadpool(call.begin, body)
    if streams:
        has_usage = isinstance(options, dict) and options.get("include_usage") is True
        pieces = _pieces(request, call, has_usage=has_usage)
        return StreamingResponse(pieces, media_type="text/event-stream")
    reply = refusal(499, "The client left.", code=None)
    async for now in _waited(request, call):
        reply = now or reply
    return Response(msgspec.json.encode(reply.body), reply.status, media_type="application/json")


async def _pieces(request: Request, call: LiveCall, *, has_usage: bool) -> AsyncIterator[bytes]:
    """Yield the answer as events, once it is whole; before, now and then a comment."""
    signed_at = monotonic()
    async for reply in _waited(request, call):
        if reply is not None:
            for chunk in chunks_of(reply, has_usage=has_usage):
                yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
            yield _DONE
        elif monotonic() - signed_at >= _SIGN_S:
            signed_at = monotonic()
            yield b": waiting\n\n"


async def _waited(request: Request, call: LiveCall) -> AsyncIterator[Reply | None]:
    """Yield None at each look, and the reply at the last; nobody waits longer than the client."""
    began, most_s = monotonic(), gateway_of(request).settings.gateway.live_s
    try:
        while (waited := monotonic() - began) < most_s:
            reply = await run_in_threadpool(call.look)
            yield reply
            if reply is not None or await request.is_disconnected():
                return
            await asyncio.sleep(min(_LAST_LOOK_S, max(_FIRST_LOOK_S, _LOOK_SHARE * waited)))
        msg = f"There was no answer within {most_s:g} s."
        yield refusal(504, msg, code="timeout")
    finally:
        # Shielded, as a client that leaves ends this task too.
        await asyncio.shield(asyncio.to_thread(call.cancel))


def chunks_of(reply: Reply, *, has_usage: bool) -> list[dict[str, Any]]:
    """Say a whole chat completion as a stream would: one piece of it, its end, and its usage."""
    if reply.status != 200:
        return [reply.body]
    body = reply.body
    (choice,) = body["choices"]
    head = {name: body[name] for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    message = {name: value for name, value in choice["message"].items() if value is not None}
    for index, asked in enumerate(message.get("tool_calls", ())):
        asked["index"] = index
    said = {"index": 0, "delta": message, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    chunks = [{**head, "choices": [said]}, {**head, "choices": [ended]}]
    if has_usage:
        chunks.append({**head, "choices": [], "usage": body.get("usage")})
    return chunks


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        msg = "The body is not a JSON object."
        raise ApiError(400, msg, code="invalid_json") from None
