"""`/v1/chat/completions`, `/v1/responses`, `/v1/embeddings`: calls that are waited for."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from time import monotonic
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from promptmill.gateway.context import caller_of, gateway_of
from promptmill.gateway.course import Course
from promptmill.gateway.errors import ApiError
from promptmill.gateway.events import ChatEvents, Events, ResponseEvents
from promptmill.gateway.live import LiveCall, Reply, refusal
from promptmill.gateway.routes.bodies import CHAT_BODY, INPUT_BODY
from promptmill.producer.ages import parse_age
from promptmill.producer.submitting.answer_cache import AnswerCache
from promptmill.schema.errors import UsageError
from promptmill.workers.providers.listener import Piece

router = APIRouter()

_CHAT: Final = "/v1/chat/completions"
_RESPONSES: Final = "/v1/responses"
_CACHE: Final = "x-promptmill-cache"
"""header of a call that may take the answer to an equal one"""
_SIGN_S = 10.0
"""after so long a stream says that it still waits, or a proxy would close it"""
_SIGN: Final = b": waiting\n\n"
_LEFT: Final = refusal(499, "The client left.", code=None)
"""for nobody"""
Steps = AsyncIterator[Piece | Reply | None]


@router.post(_CHAT, openapi_extra=CHAT_BODY)
@router.post(_RESPONSES, openapi_extra=INPUT_BODY)
@router.post("/v1/embeddings", openapi_extra=INPUT_BODY)
async def answer_now(request: Request) -> Response:
    """Make one call, and answer with what comes of it."""
    body = _object(await request.body())
    events = _events(request.url.path, body)
    gateway, caller = gateway_of(request), caller_of(request)
    cache = _cache(request.headers.get(_CACHE, "off").lower())
    call = LiveCall(gateway, caller.tenant_id, request.url.path, cache=cache)
    hears = events is not None and not caller.masks_answers  # which is done to whole answers
    course = Course(gateway, call, hears=hears)
    with ExitStack() as unless_begun:
        unless_begun.callback(course.leave)
        await course.begin(body)
        unless_begun.pop_all()
    steps = course.steps(request.is_disconnected)
    if events is not None:
        return await _streamed(course, steps, events)
    try:
        return _whole(await _reply(steps))
    finally:
        course.leave()


async def _streamed(course: Course, steps: Steps, events: Events) -> Response:
    """Answer by events, from the first word on; by an error where it comes before that."""
    with ExitStack() as unless_spoken:
        unless_spoken.callback(course.leave)
        first = await _first(steps)
        if isinstance(first, Reply) and first.status != 200:
            return _whole(first)
        unless_spoken.pop_all()
    return _Spoken(course, _said(events, first, steps))


class _Spoken(StreamingResponse):
    """An answer as it comes. Nobody waits for the rest once this has ended, however it did."""

    def __init__(self, course: Course, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._course = course

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._course.leave()


async def _reply(steps: Steps) -> Reply:
    """Wait for the reply."""
    async for step in steps:
        if isinstance(step, Reply):
            return step
    return _LEFT


async def _first(steps: Steps) -> Piece | Reply | None:
    """Wait for the first that is heard, or the reply; None: neither came in time."""
    began = monotonic()
    async for step in steps:
        if step is not None or monotonic() - began >= _SIGN_S:
            return step
    return _LEFT


async def _said(events: Events, first: Piece | Reply | None, steps: Steps) -> AsyncIterator[bytes]:
    """Say an answer as it comes; now and then, while nothing does, a comment."""
    said_at, step = monotonic(), first
    while True:
        if isinstance(step, Reply):
            for event in events.end(step):
                yield event
            return
        said = b"" if step is None else events.say(step)
        if not said and monotonic() - said_at >= _SIGN_S:
            said = _SIGN
        if said:
            said_at = monotonic()
            yield said
        try:
            step = await anext(steps)
        except StopAsyncIteration:
            return


def _events(url: str, body: dict[str, Any]) -> Events | None:
    """Say how the answer to *body* is to be streamed, if it is, and take that out of it."""
    streams, options = body.pop("stream", None), body.pop("stream_options", None)
    if not streams:
        return None
    if url == _CHAT:
        has_usage = isinstance(options, dict) and options.get("include_usage") is True
        return ChatEvents(has_usage=has_usage)
    if url == _RESPONSES:
        return ResponseEvents()
    msg = f"Answers of {url} are not streamed: leave `stream` out."
    raise ApiError(400, msg, param="stream", code="unsupported_value")


def _cache(asked: str) -> AnswerCache | None:
    """Read which answers of other calls are taken: `on`, `off`, or how old they may be."""
    if asked == "off":
        return None
    try:
        return AnswerCache() if asked == "on" else AnswerCache(parse_age(asked, _CACHE))
    except UsageError as error:
        raise ApiError(400, str(error), param=_CACHE, code="invalid_value") from None


def _whole(reply: Reply) -> Response:
    return Response(msgspec.json.encode(reply.body), reply.status, media_type="application/json")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        msg = "The body is not a JSON object."
        raise ApiError(400, msg, code="invalid_json") from None
