"""Responses that OpenAI makes in the background: bought once, looked after until they are there."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint, native_request
from promptmill.workers.providers.base import Answer, Call, Refusal
from tests.providers.dialects import Harness

_BEGUN = {"id": "resp_1", "object": "response", "status": "queued", "output": []}
_DONE: dict[str, Any] = {
    **_BEGUN,
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "at last"}]}],
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


@dataclass
class Remembered:
    """See `Begun`; in memory, and what was done to it in its order."""

    known: str | None = None
    poll_s: float = 0.001
    log: list[str] = field(default_factory=list)

    async def keep(self, response_id: str) -> None:
        self.log.append(f"keep {response_id}")

    async def forget(self) -> None:
        self.log.append("forget")


class Maker:
    """A server that begins a response and then tells of it what it is given, the last for ever."""

    def __init__(self, begun: Remembered, told: list[Any]) -> None:
        self._begun, self._told = begun, told

    async def reply(self, request: web.Request) -> web.Response:
        self._begun.log.append(f"{request.method} {request.path}")
        if request.method == "POST":
            assert (await request.json())["background"] is True
            return web.json_response(_BEGUN)
        told = self._told.pop(0) if len(self._told) > 1 else self._told[0]
        if isinstance(told, int):
            return web.json_response({"error": {"message": "no", "code": "c"}}, status=told)
        return web.json_response(told)


def background(harness: Harness, begun: Remembered, *, timeout_s: float = 20.0) -> Call:
    native = {"input": "think", "background": True}
    body = native_request(native, Endpoint.RESPONSES)
    call = replace(harness.call(timeout_s=timeout_s), body=body, endpoint=Endpoint.RESPONSES)
    return replace(call, begun=begun)


def told_of(
    harness: Harness, begun: Remembered, told: list[Any], *, timeout_s: float = 20.0
) -> Answer | Refusal:
    async def scene() -> Answer | Refusal:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", Maker(begun, told).reply)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            call = background(harness, begun, timeout_s=timeout_s)
            return await harness.provider("openai", url).complete(call)
        finally:
            await runner.cleanup()

    return harness.run(scene())  # type: ignore[no-any-return]


def test_the_id_is_kept_before_the_first_look_and_failed_looks_say_nothing(
    harness: Harness,
) -> None:
    begun = Remembered()
    answer = told_of(harness, begun, [{**_BEGUN, "status": "in_progress"}, 500, 429, [], _DONE])
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.response_id, answer.finish_reason) == (
        "at last", "resp_1", "completed",
    )  # fmt: skip
    assert answer.usage is not None
    assert begun.log == ["POST /responses", "keep resp_1", *["GET /responses/resp_1"] * 5]


def test_what_is_begun_is_not_asked_for_again(harness: Harness) -> None:
    begun = Remembered(known="resp_1")
    assert isinstance(told_of(harness, begun, [_DONE]), Answer)
    assert begun.log == ["GET /responses/resp_1"]


@pytest.mark.parametrize(
    ("told", "kind", "forgets"),
    [
        ({**_BEGUN, "status": "cancelled"}, ErrorKind.BAD_RESPONSE, True),
        (
            {**_BEGUN, "status": "failed", "error": {"code": "rate_limit_exceeded"}},
            ErrorKind.RATE,
            True,
        ),
        (
            {**_BEGUN, "status": "failed", "error": {"code": "invalid_prompt"}},
            ErrorKind.REQUEST,
            True,
        ),
        (404, ErrorKind.UNKNOWN, True),
        (401, ErrorKind.KEY, False),
    ],
)
def test_only_a_response_that_has_ended_is_forgotten(
    harness: Harness, told: Any, kind: ErrorKind, forgets: bool
) -> None:
    begun = Remembered(known="resp_1")
    reply = told_of(harness, begun, [told])
    assert isinstance(reply, Refusal)
    assert reply.kind is kind, reply
    assert ("forget" in begun.log) == forgets


def test_what_is_not_there_in_time_is_left_for_the_next_attempt(harness: Harness) -> None:
    begun = Remembered(known="resp_1")
    reply = told_of(harness, begun, [{**_BEGUN, "status": "queued"}], timeout_s=0.05)
    assert isinstance(reply, Refusal)
    assert (reply.kind, reply.code) == (ErrorKind.TRANSIENT, "background_pending")
    assert "forget" not in begun.log


def test_the_simulator_makes_one_response_however_often_it_is_looked_at(harness: Harness) -> None:
    begun = Remembered()
    call = background(harness, begun)
    answer = harness.answer("openai", call)
    assert answer.text
    assert begun.log == [f"keep {answer.response_id}"]
    (row,) = harness.rows(call)
    assert answer.usage is not None
    assert row.output_tokens == answer.usage.output_tokens
    begun.known = "resp_of_nobody"
    assert harness.refusal("openai", call).kind is ErrorKind.UNKNOWN
    assert len(harness.rows(call)) == 1
