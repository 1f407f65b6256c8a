"""OpenAI's responses (https://platform.openai.com/docs/api-reference/responses)."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import Usage
from promptmill.workers.providers.base import Answer, Media
from promptmill.workers.providers.openai.responses_stream import RESPONSES_STREAMING
from promptmill.workers.providers.operation import Envelope, Operation, Unusable, native_body
from promptmill.workers.providers.reply import Reply, decode


class _Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str
    content: list[_Part] | None = None
    call_id: Any = None
    name: Any = None
    arguments: Any = None
    result: Any = None
    output_format: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    output: list[_Item]
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    id: str | None = None
    model: str | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    image_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _UsageOnly(msgspec.Struct):
    usage: _Usage | None = None


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    response = decode(reply.body, _Response)
    if response is None:
        return Unusable("no response")
    match response.status:
        case "completed":
            reason = "completed"
        case "incomplete":
            told = response.incomplete_details
            reason = told.reason if told and told.reason else "incomplete"
        case _:
            return Unusable(f"a response that is {_word(response.status)}")
    texts, refusals = _said(response)
    return Answer(
        text="".join(texts or refusals) if texts or refusals else None,
        finish_reason="refusal" if refusals and not texts else reason,
        usage=usage_of(reply),
        response_model=response.model,
        response_id=response.id,
        request_id=envelope.request_id,
        tool_calls=tuple(_tool_call(one) for one in response.output if one.type == "function_call"),
        limits=envelope.limits,
    )


def _said(response: _Response) -> tuple[list[str], list[str]]:
    parts = [
        part for item in response.output if item.type == "message" for part in item.content or ()
    ]
    texts = [part.text for part in parts if part.text]
    return texts, [part.refusal for part in parts if part.refusal]


def _tool_call(item: _Item) -> dict[str, Any]:
    function = {"name": item.name, "arguments": item.arguments}
    return {"id": item.call_id, "type": "function", "function": function}


def _word(status: str | None) -> str:
    """Name a status; what is none of OpenAI's could be anything."""
    known = status in {"failed", "cancelled", "in_progress", "queued"}
    return str(status) if known else "of no known status"


def _media(reply: Reply) -> Iterator[Media]:
    response = decode(reply.body, _Response)
    for item in response.output if response else ():
        if item.type == "image_generation_call" and isinstance(item.result, str):
            yield Media(f"image/{item.output_format or 'png'}", item.result)


def usage_of(reply: Reply) -> Usage | None:
    """Read the usage, as responses and images tell it."""
    body = decode(reply.body, _UsageOnly)
    if body is None or body.usage is None:
        return None
    told = body.usage
    before = told.input_tokens_details or _InputDetails()
    after = told.output_tokens_details or _OutputDetails()
    return Usage(
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        cache_read_tokens=before.cached_tokens or 0,
        cache_write_tokens=before.cache_write_tokens or 0,
        reasoning_tokens=after.reasoning_tokens or 0,
        image_tokens=after.image_tokens or 0,
    )


RESPONSES: Final = Operation(
    RESPONSES_STREAMING.path, native_body, _read, usage_of, RESPONSES_STREAMING, media=_media
)
