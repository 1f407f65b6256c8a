"""Gemini (AI Studio): generateContent and models.

Facts from the API reference, the rate limits page and error bodies seen in public issues.
"""

import math
from typing import Any
from urllib.parse import parse_qs

import msgspec

from promptmill.simulator.answers import Answer
from promptmill.simulator.config import Dimension
from promptmill.simulator.dialects.base import (
    EVENT_STREAM,
    Context,
    Prompt,
    Unreadable,
    decode_as,
    encode,
    event,
    text_of,
)
from promptmill.simulator.faults import Trouble
from promptmill.simulator.limits import Cost, Excess
from promptmill.simulator.provider import Provider
from promptmill.simulator.shapes import PLAIN, Tool, Wish, chosen
from promptmill.simulator.wire import Headers, Reply, Request

_MODELS = ("gemini-3-pro", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite")
_JSON = "application/json; charset=UTF-8"
_DOMAIN = "generativelanguage.googleapis.com"
_TYPE = "type.googleapis.com/google.rpc"
_QUOTA_SAID = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. "
    "To monitor your current usage, head to: https://ai.dev/rate-limit. "
)


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    function_response: dict[str, Any] | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Generation(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] = {}
    response_schema: dict[str, Any] = {}


class _Function(msgspec.Struct, rename="camel"):
    name: str
    parameters_json_schema: dict[str, Any] = {}


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Function] = []


class _Calling(msgspec.Struct, rename="camel"):
    mode: str | int = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: _Calling = msgspec.field(default_factory=_Calling)


class _Body(msgspec.Struct, rename="camel"):
    contents: list[_Content]
    system_instruction: _Content | None = None
    generation_config: _Generation | None = None
    tools: list[_Tool] = []
    tool_config: _ToolConfig = msgspec.field(default_factory=_ToolConfig)


_decoder = msgspec.json.Decoder(_Body)

# trouble: code, status, reason of an ErrorInfo, message
_ERRORS: dict[Trouble, tuple[int, str, str | None, str]] = {
    Trouble.INVALID_REQUEST: (
        400, "INVALID_ARGUMENT", None, "Request contains an invalid argument.",
    ),
    Trouble.CONTEXT_LENGTH: (
        400, "INVALID_ARGUMENT", None,
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
    ),
    Trouble.CONTENT_POLICY: (
        400, "INVALID_ARGUMENT", None, "The prompt was blocked by the content policy.",
    ),
    Trouble.BAD_KEY: (
        400, "INVALID_ARGUMENT", "API_KEY_INVALID",
        "API key not valid. Please pass a valid API key.",
    ),
    Trouble.UNAUTHORIZED: (
        401, "UNAUTHENTICATED", "CREDENTIALS_MISSING",
        ("Request is missing required authentication credential. Expected OAuth 2 access token, "
        "login cookie or other valid authentication credential."),
    ),
    Trouble.PAYMENT_REQUIRED: (
        402, "FAILED_PRECONDITION", None,
        ("Your prepayment credits are depleted. Please go to AI Studio at "
        "https://ai.studio/projects to manage your project and billing."),
    ),
    Trouble.FORBIDDEN: (
        403, "PERMISSION_DENIED", "SERVICE_DISABLED",
        "Generative Language API has not been used in this project before or it is disabled.",
    ),
    Trouble.MODEL_NOT_FOUND: (
        404, "NOT_FOUND", None,
        ("models/{model} is not found for API version v1beta, or is not supported for "
        "generateContent. Call ListModels to see the list of available models and their "
        "supported methods."),
    ),
    Trouble.REQUEST_TIMEOUT: (408, "DEADLINE_EXCEEDED", None, "The request timed out."),
    Trouble.CONFLICT: (409, "ABORTED", None, "The operation was aborted."),
    Trouble.TOO_LARGE: (
        413, "INVALID_ARGUMENT", None,
        "Request payload size exceeds the limit: 20971520 bytes.",
    ),
    Trouble.UNPROCESSABLE: (
        422, "INVALID_ARGUMENT", None, "The request could not be processed.",
    ),
    Trouble.RAMP: (
        429, "RESOURCE_EXHAUSTED", None, "Resource has been exhausted (e.g. check quota).",
    ),
    Trouble.MONEY: (
        429, "RESOURCE_EXHAUSTED", None,
        ("Your prepayment credits are depleted. Please go to AI Studio at "
        "https://ai.studio/projects to manage your project and billing."),
    ),
    Trouble.SERVER_ERROR: (
        500, "INTERNAL", None, ("An internal error has occurred. Please retry or report in "
        "https://developers.generativeai.google/guide/troubleshooting"),
    ),
    Trouble.UNAVAILABLE: (
        503, "UNAVAILABLE", None, "The service is currently unavailable.",
    ),
    Trouble.GATEWAY_TIMEOUT: (
        504, "DEADLINE_EXCEEDED", None,
        "Deadline expired before operation could complete.",
    ),
    Trouble.OVERLOADED: (
        503, "UNAVAILABLE", None, "The model is overloaded. Please try again later.",
    ),
}  # fmt: skip
_BAD_GATEWAY = (
    b"<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n"
    b"<p>The server encountered a temporary error and could not complete your request.\n"
)
# dimension: metric, quotaId
_QUOTAS = {
    Dimension.RPM: (
        "generate_content_paid_tier_requests",
        "GenerateRequestsPerMinutePerProjectPerModel",
    ),
    Dimension.RPD: (
        "generate_content_paid_tier_requests",
        "GenerateRequestsPerDayPerProjectPerModel",
    ),
    Dimension.TPM: (
        "generate_content_paid_tier_input_token_count",
        "GenerateContentPaidTierInputTokensPerModelPerMinute",
    ),
    Dimension.ITPM: (
        "generate_content_paid_tier_input_token_count",
        "GenerateContentPaidTierInputTokensPerModelPerMinute",
    ),
    Dimension.OTPM: (
        "generate_content_paid_tier_output_token_count",
        "GenerateContentPaidTierOutputTokensPerModelPerMinute",
    ),
}


class Gemini:
    """See `Dialect`."""

    provider = Provider.GEMINI

    def key(self, request: Request) -> str:
        header = request.head.header(b"x-goog-api-key")
        token = request.head.header(b"authorization").removeprefix("Bearer ").strip()  # Vertex AI
        return header or token or parse_qs(request.head.query).get("key", [""])[0]

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.contents:
            msg = "* GenerateContentRequest.contents: contents is not specified"
            raise Unreadable(msg)
        contents = [body.system_instruction] if body.system_instruction else []
        contents.extend(body.contents)
        texts = [text for content in contents for text in text_of(content.parts)]
        maximum = body.generation_config.max_output_tokens if body.generation_config else None
        streams = request.head.path.endswith(":streamGenerateContent")
        return Prompt(model_of(request), "\n".join(texts), maximum, streams, wish=_wish(body))

    def thinks(self, model: str) -> bool:
        return "lite" not in model

    def cost_at_start(self, prompt: Prompt, input_tokens: int) -> Cost:  # noqa: ARG002
        # TPM is input only: the rate limits page.
        return Cost(rpm=1, tpm=input_tokens, itpm=input_tokens, rpd=1)

    def cost_at_end(self, output_tokens: int) -> Cost:
        return Cost(otpm=output_tokens)

    def succeed(self, context: Context, answer: Answer) -> Reply:
        usage: dict[str, Any] = {
            "promptTokenCount": answer.input_tokens,
            "candidatesTokenCount": answer.output_tokens,
            "totalTokenCount": answer.input_tokens + answer.output_tokens + answer.thinking_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
        }
        if answer.thinking_tokens:
            usage["thoughtsTokenCount"] = answer.thinking_tokens
        body = {
            "candidates": [
                {
                    "content": {"parts": _parts(answer), "role": "model"},
                    "finishReason": "MAX_TOKENS" if answer.is_cut else "STOP",
                    "index": 0,
                }
            ],
            "usageMetadata": usage,
            "modelVersion": context.model,
            "responseId": context.request_id,
        }
        return json_reply(body)

    def stream(self, context: Context, prompt: Prompt, answer: Answer, texts: list[str]) -> Reply:  # noqa: ARG002
        last = msgspec.json.decode(self.succeed(context, answer).body)
        said = [_chunk(last, text, answer, at) for at, text in enumerate(texts[:-1], start=1)]
        if not answer.calls:
            last["candidates"][0]["content"]["parts"][0]["text"] = texts[-1] if texts else ""
        events = tuple(event(each) for each in [*said, last])
        return Reply(200, b"", _headers(), EVENT_STREAM, events)

    def error_event(self, body: bytes) -> bytes:
        return event(body)

    def refuse(self, context: Context, trouble: Trouble, *, message: str | None = None) -> Reply:
        if trouble is Trouble.BAD_GATEWAY:
            return Reply(502, _BAD_GATEWAY, _headers(), "text/html; charset=UTF-8")
        code, status, reason, usual = _ERRORS[trouble]
        details = []
        if reason is not None:
            service = {"service": _DOMAIN}
            details.append(
                {
                    "@type": f"{_TYPE}.ErrorInfo",
                    "reason": reason,
                    "domain": "googleapis.com",
                    "metadata": service,
                }
            )
        said = message or usual.format(model=context.model)
        return Reply(code, _error(code, status, said, details), _headers(), _JSON)

    def limit(self, context: Context, excess: Excess, *, retry_after: str | None) -> Reply:
        metric, quota_id = _QUOTAS[excess.dimension]
        value = f"{excess.limit:.0f}"
        said = (
            f"{_QUOTA_SAID}\n* Quota exceeded for metric: {_DOMAIN}/{metric}, limit: {value}, "
            f"model: {context.model}"
        )
        violation = {
            "quotaMetric": f"{_DOMAIN}/{metric}",
            "quotaId": quota_id,
            "quotaDimensions": {"location": "global", "model": context.model},
            "quotaValue": value,
        }
        details: list[dict[str, Any]] = [
            {"@type": f"{_TYPE}.Help", "links": [_HELP]},
            {"@type": f"{_TYPE}.QuotaFailure", "violations": [violation]},
        ]
        told = context.tells_wait and not math.isinf(excess.wait_s)
        if retry_after is not None or told:
            said += f"\nPlease retry in {excess.wait_s:.9f}s."
            delay = f"{retry_after or math.ceil(excess.wait_s)}s"
            details.append({"@type": f"{_TYPE}.RetryInfo", "retryDelay": delay})
        return Reply(429, _error(429, "RESOURCE_EXHAUSTED", said, details), _headers(), _JSON)

    def models(self, context: Context, path: str) -> Reply:
        name = path.rpartition("/models")[2].strip("/")
        if not name:
            body: Any = {"models": [_model(model) for model in _MODELS]}
        elif name in _MODELS:
            body = _model(name)
        else:
            return self.refuse(context._replace(model=name), Trouble.MODEL_NOT_FOUND)
        return json_reply(body)


def _wish(body: _Body) -> Wish:
    config = body.generation_config or _Generation()
    wants_json = config.response_mime_type == "application/json"
    functions = [one for tool in body.tools for one in tool.function_declarations]
    if not functions and not wants_json:
        return PLAIN
    calling, parts = body.tool_config.function_calling_config, body.contents[-1].parts
    tools = chosen(
        [Tool(one.name, one.parameters_json_schema) for one in functions],
        must=calling.mode in {"ANY", 2},  # google-generativeai writes words as their numbers
        never=calling.mode in {"NONE", 3},
        only=next(iter(calling.allowed_function_names), None),
        after_result=bool(parts) and parts[-1].function_response is not None,
    )
    schema = config.response_json_schema or _as_json_schema(config.response_schema)
    return Wish(tools, schema if wants_json else None)


def _as_json_schema(schema: Any) -> Any:
    """Say a schema of Gemini's own as JSON Schema: types are called by capitals there."""
    if isinstance(schema, list):
        return [_as_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _as_json_schema(value)
        for name, value in schema.items()
    }


def _parts(answer: Answer) -> list[dict[str, Any]]:
    if not answer.calls:
        return [{"text": answer.text}]
    return [{"functionCall": {"name": name, "args": args}} for name, args in answer.calls]


_HELP = {
    "description": "Learn more about Gemini API quotas",
    "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
}


def _chunk(last: dict[str, Any], text: str, answer: Answer, number: int) -> dict[str, Any]:
    """Return a chunk before the *last*: usage counts what came with it and those before."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    output = min(answer.output_tokens, number * max(1, len(text) // 4))
    usage = {"candidatesTokenCount": output, "totalTokenCount": answer.input_tokens + output}
    return {**last, "candidates": [candidate], "usageMetadata": last["usageMetadata"] | usage}


def model_of(request: Request) -> str:
    """Tell the model, which is in the address."""
    return request.head.path.rpartition("/models/")[2].partition(":")[0]


def json_reply(body: Any) -> Reply:
    """Say a good answer."""
    return Reply(200, encode(body), _headers(), _JSON)


def _error(code: int, status: str, message: str, details: list[dict[str, Any]]) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = details
    return encode({"error": error})


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": "A stand-in.",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _headers() -> Headers:
    return [("vary", "Origin"), ("server", "scaffolding on HTTPServer2")]
