"""Anthropic's messages (https://docs.claude.com/en/api/messages)."""

from typing import Any, Final

import msgspec

from promptmill.schema.bounds import ANTHROPIC_MAX_TOKENS
from promptmill.schema.outcomes import Usage
from promptmill.schema.requests import native_of
from promptmill.workers.providers.anthropic.blocks import blocks_of, marked, message_of
from promptmill.workers.providers.anthropic.plain import PlainMessage
from promptmill.workers.providers.anthropic.stream import MESSAGES_STREAMING
from promptmill.workers.providers.anthropic.thinking import thinking_of
from promptmill.workers.providers.anthropic.tools import tools_of
from promptmill.workers.providers.base import Answer, Call
from promptmill.workers.providers.chat import AnswerForm, Chat, UnsendableError, plain
from promptmill.workers.providers.chat_body import read_chat
from promptmill.workers.providers.operation import Envelope, Operation, Unusable
from promptmill.workers.providers.reply import Reply, decode, tool_call

_NOT_SAID: Final = frozenset({"seed", "frequency_penalty", "presence_penalty"})


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    id: Any = None
    name: Any = None
    input: Any = None


class _ThinkingDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    service_tier: str | None = None
    output_tokens_details: _ThinkingDetails | None = None


class _UsageOnly(msgspec.Struct):
    usage: _Usage | None = None


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None
    id: str | None = None
    model: str | None = None


def _body(call: Call) -> dict[str, Any]:
    native = native_of(call.body)
    if native is not None:
        return native | {"model": call.model}
    return _message_body(call.model, read_chat(call.body, without=_NOT_SAID))


def _message_body(model: str, chat: Chat) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": chat.max_tokens or ANTHROPIC_MAX_TOKENS,
        "messages": [message_of(turn) for turn in chat.turns],
    }
    if chat.system:
        text = plain(chat.system)
        body["system"] = blocks_of(chat.system) if text is None else text
    if chat.tools is not None:
        body |= tools_of(chat.tools)
    if chat.effort is not None:
        body |= thinking_of(chat.effort, model=model, max_tokens=body["max_tokens"])
    if chat.form is not None:
        body["output_config"] = body.get("output_config", {}) | {"format": _format(chat.form)}
    for name, value in chat.sampling.items():
        body["stop_sequences" if name == "stop" else name] = value
    return marked(body, chat.mark)


def _format(form: AnswerForm) -> dict[str, Any]:
    if form.schema is None:
        problem = "Anthropic gives JSON by a schema only: response_format of type json_schema"
        raise UnsendableError(field="response_format", problem=problem)
    return {"type": "json_schema", "schema": form.schema}


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    message = decode(reply.body, _Message)
    if message is None:
        return Unusable("no message")
    if not message.stop_reason:
        return Unusable("no stop_reason")
    texts = [block.text for block in message.content if block.type == "text" and block.text]
    return Answer(
        text="".join(texts) if texts else None,
        finish_reason=message.stop_reason,
        usage=_usage(reply),
        response_model=message.model,
        response_id=message.id,
        request_id=envelope.request_id,
        tool_calls=tuple(_tool_call(one) for one in message.content if one.type == "tool_use"),
        limits=envelope.limits,
    )


def _tool_call(block: _Block) -> dict[str, Any]:
    return tool_call(block.id, block.name, block.input)


def _usage(reply: Reply) -> Usage | None:
    body = decode(reply.body, _UsageOnly)
    if body is None or body.usage is None:
        return None
    told = body.usage
    read, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    creation = told.cache_creation or _CacheCreation()
    details = told.output_tokens_details or _ThinkingDetails()
    return Usage(
        input_tokens=told.input_tokens + read + written,  # theirs leaves both out
        output_tokens=told.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=details.thinking_tokens or 0,
        service_tier=told.service_tier or "",
        cache_write_1h_tokens=creation.ephemeral_1h_input_tokens or 0,
    )


MESSAGES: Final = Operation(
    MESSAGES_STREAMING.path, _body, _read, _usage, MESSAGES_STREAMING, plain=PlainMessage
)
