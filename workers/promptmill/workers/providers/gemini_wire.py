"""Gemini's generateContent, as both of Google's SDKs carry it.

https://ai.google.dev/api/generate-content
"""

import re
from typing import Any, Final

import msgspec

from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import Chat
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.reply import Reply, decode, tool_call

BASE_URL: Final = "https://generativelanguage.googleapis.com"
API_VERSION: Final = "v1beta"
"""v1, the SDK's default, has neither all models nor all fields."""
_SAMPLING: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "stop": "stopSequences",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
_DELAY: Final = re.compile(r"(\d+(?:\.\d+)?)s")
# Told by words only: a prepaid credit or a spend cap that is used up, or billing never set up.
_SPENT: Final = re.compile(r"prepa(?:id|yment)|credits? (?:are|is) depleted|spend|enable billing")


class _FunctionCall(msgspec.Struct):
    name: Any = None
    id: Any = None
    args: Any = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: _FunctionCall | None = None


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


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class _UsageOnly(msgspec.Struct, rename="camel"):
    usage_metadata: _Usage | None = None


class _Violation(msgspec.Struct, rename="camel"):
    quota_id: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    retry_delay: str | None = None
    reason: str | None = None
    violations: list[_Violation] | None = None


class _Error(msgspec.Struct):
    message: str = ""
    status: str | None = None
    details: list[_Detail] | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def request_of(chat: Chat) -> dict[str, Any]:
    """Say *chat* in Gemini's words: the JSON body of generateContent."""
    config = {_SAMPLING[name]: value for name, value in chat.sampling.items()}
    if chat.max_tokens is not None:
        config["maxOutputTokens"] = chat.max_tokens
    if chat.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": chat.schema}
    body: dict[str, Any] = {
        "contents": [
            {
                "role": "model" if turn.role == "assistant" else "user",
                "parts": [{"text": turn.text}],
            }
            for turn in chat.turns
        ]
    }
    if chat.system is not None:
        body["systemInstruction"] = {"parts": [{"text": chat.system}]}
    if config:
        body["generationConfig"] = config
    return body


def read(provider: str, reply: Reply, call: Call, secrets: tuple[str, ...]) -> Answer | Refusal:
    """Turn a complete response into a value."""
    if not 200 <= reply.status < 300:
        return _refuse(provider, reply, _fault(reply), call, secrets)
    generated = decode(reply.body, _Generated)
    if generated is None or (generated.candidates is None and generated.prompt_feedback is None):
        return _bad(provider, reply, "no candidates", secrets)
    if not generated.candidates:
        return _blocked(provider, reply, generated, secrets)
    candidate = generated.candidates[0]
    if not candidate.finish_reason:
        return _bad(provider, reply, "no finishReason", secrets)
    parts = (candidate.content.parts if candidate.content else None) or []
    texts = [part.text for part in parts if part.text and not part.thought]
    calls = [part.function_call for part in parts if part.function_call]
    return Answer(
        text="".join(texts) if texts else None,
        finish_reason=candidate.finish_reason,
        usage=_usage(reply),
        response_model=generated.model_version,
        response_id=generated.response_id,
        request_id=_request_id(reply),
        tool_calls=tuple(tool_call(one.id, one.name, one.args) for one in calls),
    )


def _blocked(
    provider: str, reply: Reply, generated: _Generated, secrets: tuple[str, ...]
) -> Refusal:
    feedback = generated.prompt_feedback
    if feedback is None or not feedback.block_reason:
        return _bad(provider, reply, "no candidates", secrets)
    return Refusal(
        kind=ErrorKind.REQUEST,
        message=f"{provider} blocked the prompt",
        http_status=reply.status,
        code=feedback.block_reason[:80],
        request_id=_request_id(reply),
        usage=_usage(reply),
    )


def _bad(provider: str, reply: Reply, problem: str, secrets: tuple[str, ...]) -> Refusal:
    return errors.bad_response(
        provider,
        reply,
        problem,
        secrets=secrets,
        usage=_usage(reply),
        request_id=_request_id(reply),
    )


def _refuse(
    provider: str, reply: Reply, fault: Fault, call: Call, secrets: tuple[str, ...]
) -> Refusal:
    return errors.refused(
        provider,
        reply,
        fault,
        call=call,
        secrets=secrets,
        request_id=_request_id(reply),
        limits={},  # Gemini tells none
    )


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
    )


def _fault(reply: Reply) -> Fault:
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return Fault(errors.kind_of(reply.status))
    error, details = body.error, body.error.details or []
    reason = next((detail.reason for detail in details if detail.reason), None)
    quotas = [violation.quota_id for detail in details for violation in detail.violations or []]
    delays = [_DELAY.fullmatch(detail.retry_delay) for detail in details if detail.retry_delay]
    told = next((float(delay[1]) for delay in delays if delay), None)
    return Fault(
        kind=_kind(reply.status, reason, quotas, error.message),
        code=reason or next(iter(quotas), None) or error.status,
        message=error.message,
        retry_after_s=None if told is None else min(told, errors.MAX_RETRY_AFTER_S),
    )


def _kind(status: int, reason: str | None, quotas: list[str], message: str) -> ErrorKind:
    if reason in {"API_KEY_INVALID", "API_KEY_EXPIRED"}:  # answered as 400
        return ErrorKind.KEY
    if status == 429 and any("PerDay" in quota for quota in quotas):
        return ErrorKind.DAILY
    if status in {400, 402, 429} and not quotas and _SPENT.search(message.lower()):
        return ErrorKind.MONEY
    return errors.kind_of(status)


def _request_id(reply: Reply) -> str | None:
    return reply.headers.get("x-request-id") or reply.headers.get("x-goog-request-id")
