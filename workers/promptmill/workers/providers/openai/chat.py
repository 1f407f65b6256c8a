"""OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat).

The request shape is our own, so a body goes out as it came: only `model` is set, the output limit
gets the name that the server knows, and what would change the transport (`stream`) is left out; so
are, for OpenAI itself, marks that are meant for another provider.
"""

from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import Usage
from promptmill.workers.providers.base import Answer, Call
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.providers.openai.chat_stream import CHAT_STREAMING
from promptmill.workers.providers.openai.marks import strip_marks
from promptmill.workers.providers.openai.plain import PlainCompletion
from promptmill.workers.providers.openai.server import Server
from promptmill.workers.providers.operation import Envelope, Operation, Unusable
from promptmill.workers.providers.reply import Reply, decode

_OURS: Final = frozenset({"model", "stream", "stream_options"})


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name of cached tokens."""


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None


class _UsageOnly(msgspec.Struct):
    usage: _Usage | None = None
    service_tier: Any = None
    """Compatible servers may mean anything by it, and what was used is worth more."""


def chat(server: Server) -> Operation:
    """Tell how *server* completes chats."""
    return Operation(
        CHAT_STREAMING.path,
        lambda call: _body(call, server),
        _read,
        _usage,
        CHAT_STREAMING,
        plain=PlainCompletion,
    )


def _body(call: Call, server: Server) -> dict[str, Any]:
    if call.body.get("n", 1) != 1:
        raise UnsendableError(
            field="n", problem="one prompt gets one answer; send the prompt more than once"
        )
    body = {key: value for key, value in call.body.items() if key not in _OURS}
    for known in ("max_tokens", "max_completion_tokens"):
        if known in body:
            body.setdefault(server.output_limit, body[known])
            if known != server.output_limit:
                del body[known]
    if server.refuses_marks:
        strip_marks(body)
    body["model"] = call.model
    return body


def _read(reply: Reply, envelope: Envelope) -> Answer | Unusable:
    completion = decode(reply.body, _Completion)
    if completion is None:
        return Unusable("no chat completion")
    if not completion.choices:
        return Unusable("no choices")
    choice = completion.choices[0]
    if not choice.finish_reason:
        return Unusable("no finish_reason")
    text, refusal = choice.message.content, choice.message.refusal
    return Answer(
        text=refusal if text is None else text,
        finish_reason="refusal" if text is None and refusal else choice.finish_reason,
        usage=_usage(reply),
        response_model=completion.model,
        response_id=completion.id,
        request_id=envelope.request_id,
        tool_calls=tuple(choice.message.tool_calls or ()),
        limits=envelope.limits,
    )


def _usage(reply: Reply) -> Usage | None:
    body = decode(reply.body, _UsageOnly)
    if body is None or body.usage is None:
        return None
    told = body.usage
    before = told.prompt_tokens_details or _Details()
    after = told.completion_tokens_details or _Details()
    return Usage(
        input_tokens=told.prompt_tokens,
        output_tokens=told.completion_tokens,
        cache_read_tokens=before.cached_tokens or told.prompt_cache_hit_tokens or 0,
        cache_write_tokens=before.cache_write_tokens or 0,
        reasoning_tokens=after.reasoning_tokens or 0,
        service_tier=body.service_tier if isinstance(body.service_tier, str) else "",
    )
