"""Gemini's generateContent (https://ai.google.dev/api/generate-content)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import Usage
from promptmill.schema.requests import native_of
from promptmill.workers.providers.base import Answer, Call, Media
from promptmill.workers.providers.chat import Chat
from promptmill.workers.providers.chat_body import read_chat
from promptmill.workers.providers.gemini.calls import call_of
from promptmill.workers.providers.gemini.parts import content_of
from promptmill.workers.providers.gemini.plain import PlainGenerated
from promptmill.workers.providers.gemini.stream import GENERATE_STREAMING
from promptmill.workers.providers.gemini.thinking import thinking_of
from promptmill.workers.providers.gemini.tools import tools_of
from promptmill.workers.providers.operation import Blocked, Envelope, Operation, Read, Unusable
from promptmill.workers.providers.reply import Reply, decode

_SAMPLING: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "stop": "stopSequences",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}


class _Blob(msgspec.Struct, rename="camel"):
    data: str = ""
    mime_type: str = "application/octet-stream"


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: Any = None
    function_call: dict[str, Any] | None = None
    inline_data: _Blob | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Generated(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    model_version: str | None = None
    response_id: str | None = None


class _Modality(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: int = 0


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_tokens_details: list[_Modality] | None = None


class _UsageOnly(msgspec.Struct, rename="camel"):
    usage_metadata: _Usage | None = None


def _body(call: Call) -> Mapping[str, Any]:
    native = native_of(call.body)
    return _request_of(read_chat(call.body), call.model) if native is None else native


def _request_of(chat: Chat, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"contents": [content_of(turn) for turn in chat.turns]}
    if chat.system:
        body["systemInstruction"] = {"parts": [{"text": text.text} for text in chat.system]}
    if chat.tools is not None:
        body |= tools_of(chat.tools)
    config = _config(chat, model)
    if config:
        body["generationConfig"] = config
    return body


def _config(chat: Chat, model: str) -> dict[str, Any]:
    config = {_SAMPLING[name]: value for name, value in chat.sampling.items()}
    if chat.max_tokens is not None:
        config["maxOutputTokens"] = chat.max_tokens
    if chat.effort is not None:
        config["thinkingConfig"] = thinking_of(chat.effort, model=model)
    if chat.form is not None:
        config["responseMimeType"] = "application/json"
        if chat.form.schema is not None:
            config["responseJsonSchema"] = chat.form.schema
    return config


def _read(reply: Reply, envelope: Envelope) -> Read:
    generated = decode(reply.body, _Generated)
    if generated is None:
        return Unusable("no candidates")
    if not generated.candidates:
        feedback = generated.prompt_feedback
        if feedback is None or not feedback.block_reason:
            return Unusable("no candidates")
        return Blocked(feedback.block_reason)
    candidate = generated.candidates[0]
    if not candidate.finish_reason:
        return Unusable("no finishReason")
    parts = (candidate.content.parts if candidate.content else None) or []
    texts = [part.text for part in parts if part.text and not part.thought]
    return Answer(
        text="".join(texts) if texts else None,
        finish_reason=candidate.finish_reason,
        usage=_usage(reply),
        response_model=generated.model_version,
        response_id=generated.response_id,
        request_id=envelope.request_id,
        tool_calls=_tool_calls(parts),
    )


def _tool_calls(parts: list[_Part]) -> tuple[dict[str, Any], ...]:
    asking = [part for part in parts if part.function_call is not None]
    return tuple(
        call_of(number, part.function_call or {}, signature=part.thought_signature)
        for number, part in enumerate(asking)
    )


def _media(reply: Reply) -> Iterator[Media]:
    generated = decode(reply.body, _Generated)
    for candidate in (generated.candidates if generated else None) or ():
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.inline_data and part.inline_data.data:
                yield Media(part.inline_data.mime_type, part.inline_data.data)


def _usage(reply: Reply) -> Usage | None:
    body = decode(reply.body, _UsageOnly)
    if body is None or body.usage_metadata is None:
        return None
    told = body.usage_metadata
    if told.prompt_token_count is None:
        return None
    thoughts = told.thoughts_token_count or 0
    return Usage(
        input_tokens=told.prompt_token_count + (told.tool_use_prompt_token_count or 0),
        output_tokens=(told.candidates_token_count or 0) + thoughts,  # theirs leaves thoughts out
        cache_read_tokens=told.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
        image_tokens=sum(
            one.token_count
            for one in told.candidates_tokens_details or ()
            if one.modality == "IMAGE"
        ),
    )


GENERATE: Final = Operation(
    "generateContent",
    _body,
    _read,
    _usage,
    GENERATE_STREAMING,
    plain=PlainGenerated,
    media=_media,
)
