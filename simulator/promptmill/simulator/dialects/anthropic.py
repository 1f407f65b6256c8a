"""Anthropic: messages and models.

Facts from the API reference, the pages "Rate limits" and "Errors", and the types of its SDK.
"""

from datetime import UTC, datetime
from typing import Any

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
from promptmill.simulator.limits import Cost, Excess, Standing, Standings, retry_after_s
from promptmill.simulator.provider import Provider
from promptmill.simulator.shapes import PLAIN, Tool, Wish, chosen
from promptmill.simulator.wire import Headers, Reply, Request

_MODELS = {
    "claude-opus-4-8": "Claude Opus 4.8",
    "claude-sonnet-5": "Claude Sonnet 5",
    "claude-haiku-4-5": "Claude Haiku 4.5",
}


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part]


class _Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any] | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None


class _Form(msgspec.Struct):
    schema: dict[str, Any] = {}


class _Output(msgspec.Struct):
    format: _Form | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int
    system: str | list[_Part] | None = None
    tools: list[_Tool] = []
    tool_choice: _Choice = msgspec.field(default_factory=lambda: _Choice("auto"))
    output_config: _Output = msgspec.field(default_factory=_Output)
    stream: bool | None = None


_decoder = msgspec.json.Decoder(_Body)

# trouble: status, type, error_code of the details, message
_ERRORS: dict[Trouble, tuple[int, str, str | None, str]] = {
    Trouble.INVALID_REQUEST: (400, "invalid_request_error", None, "messages: Field required"),
    Trouble.CONTEXT_LENGTH: (
        400, "invalid_request_error", None, "prompt is too long: 200001 tokens > 200000 maximum",
    ),
    Trouble.CONTENT_POLICY: (
        400, "invalid_request_error", None, "Output blocked by content filtering policy",
    ),
    Trouble.BAD_KEY: (401, "authentication_error", None, "invalid x-api-key"),
    Trouble.UNAUTHORIZED: (401, "authentication_error", None, "x-api-key header is required"),
    Trouble.PAYMENT_REQUIRED: (
        402, "billing_error", None,
        ("There is an issue with your billing or payment information. Please check your payment "
        "details."),
    ),
    Trouble.FORBIDDEN: (
        403, "permission_error", None,
        "Your API key does not have permission to use the specified resource.",
    ),
    Trouble.MODEL_NOT_FOUND: (404, "not_found_error", None, "model: {model}"),
    Trouble.REQUEST_TIMEOUT: (408, "timeout_error", None, "Request timed out."),
    Trouble.CONFLICT: (409, "conflict_error", None, "The request conflicts with another one."),
    Trouble.TOO_LARGE: (
        413, "invalid_request_error", None, "Request exceeds the maximum allowed number of bytes.",
    ),
    Trouble.UNPROCESSABLE: (
        422, "invalid_request_error", None, "The request could not be processed.",
    ),
    Trouble.RAMP: (
        429, "rate_limit_error", "ramp_limit_exceeded",
        ("This request would exceed your organization's maximum usage increase rate. Please scale "
        "up your input tokens usage more gradually."),
    ),
    Trouble.MONEY: (
        429, "rate_limit_error", "enforced_spend_limit_reached",
        "Your organization has reached the monthly API usage threshold of its tier.",
    ),
    Trouble.SERVER_ERROR: (500, "api_error", None, "Internal server error"),
    Trouble.BAD_GATEWAY: (502, "api_error", None, "Bad gateway"),
    Trouble.UNAVAILABLE: (503, "api_error", None, "Service temporarily unavailable"),
    Trouble.GATEWAY_TIMEOUT: (504, "timeout_error", None, "Request timed out. Please try again."),
    Trouble.OVERLOADED: (529, "overloaded_error", None, "Overloaded"),
}  # fmt: skip
_WORDS = {
    Dimension.RPM: "requests per minute",
    Dimension.RPD: "requests per day",
    Dimension.TPM: "tokens per minute",
    Dimension.ITPM: "input tokens per minute",
    Dimension.OTPM: "output tokens per minute",
}
_HEADER = {
    Dimension.RPM: "requests",
    Dimension.TPM: "tokens",
    Dimension.ITPM: "input-tokens",
    Dimension.OTPM: "output-tokens",
}


class Anthropic:
    """See `Dialect`."""

    provider = Provider.ANTHROPIC

    def key(self, request: Request) -> str:
        bearer = request.head.header(b"authorization").removeprefix("Bearer ").strip()
        return bearer or request.head.header(b"x-api-key")

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.messages:
            msg = "messages: at least one message is required"
            raise Unreadable(msg)
        if body.max_tokens < 1:
            msg = "max_tokens: Input should be greater than or equal to 1"
            raise Unreadable(msg)
        texts = text_of(body.system)
        texts.extend(text for message in body.messages for text in text_of(message.content))
        text, streams = "\n".join(texts), bool(body.stream)
        return Prompt(body.model, text, body.max_tokens, streams, wish=_wish(body))

    def thinks(self, model: str) -> bool:  # noqa: ARG002  only where a request asks for it
        return False

    def cost_at_start(self, prompt: Prompt, input_tokens: int) -> Cost:  # noqa: ARG002
        # max_tokens "does not factor into OTPM": the rate limits page.
        return Cost(rpm=1, tpm=input_tokens, itpm=input_tokens, rpd=1)

    def cost_at_end(self, output_tokens: int) -> Cost:
        return Cost(tpm=output_tokens, otpm=output_tokens)

    def succeed(self, context: Context, answer: Answer) -> Reply:
        body = {
            "id": f"msg_{context.request_id}",
            "type": "message",
            "role": "assistant",
            "model": context.model,
            "content": _content(context, answer),
            "stop_reason": _stop_reason(answer),
            "stop_sequence": None,
            "stop_details": None,
            "usage": {
                "input_tokens": answer.input_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 0,
                    "ephemeral_1h_input_tokens": 0,
                },
                "output_tokens": answer.output_tokens,
                "service_tier": "standard",
                "inference_geo": "global",
            },
        }
        return Reply(200, encode(body), _headers(context))

    def stream(self, context: Context, prompt: Prompt, answer: Answer, texts: list[str]) -> Reply:  # noqa: ARG002
        message = msgspec.json.decode(self.succeed(context, answer).body)
        end = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
        usage = {"output_tokens": answer.output_tokens}
        content = message["content"]
        message |= {"content": [], "stop_reason": None}
        message["usage"] |= {"output_tokens": 1}
        said = [
            {"type": "message_start", "message": message},
            {"type": "ping"},
            *(part for at, block in enumerate(content) for part in _block(at, block, texts)),
            {"type": "message_delta", "delta": end, "usage": usage},
            {"type": "message_stop"},
        ]
        events = tuple(event(each, str(each["type"])) for each in said)
        return Reply(200, b"", _headers(context), EVENT_STREAM, events)

    def error_event(self, body: bytes) -> bytes:
        return event(body, "error")

    def refuse(self, context: Context, trouble: Trouble, *, message: str | None = None) -> Reply:
        status, kind, error_code, usual = _ERRORS[trouble]
        headers = _headers(context)
        if trouble is Trouble.RAMP:
            headers.append(("retry-after", "5"))
        said = message or usual.format(model=context.model)
        return Reply(status, _error(context, kind, said, error_code), headers)

    def limit(self, context: Context, excess: Excess, *, retry_after: str | None) -> Reply:
        said = (
            f"This request would exceed your organization's rate limit of {excess.limit:,.0f} "
            f"{_WORDS[excess.dimension]} (model: {context.model}). For details, refer to: "
            "https://docs.claude.com/en/api/rate-limits. You can see the response headers for "
            "current usage. Please reduce the prompt length or the maximum tokens requested, or "
            "try again later."
        )
        headers = _headers(context)
        seconds = retry_after_s(excess) if context.tells_wait else None
        if retry_after is not None or seconds is not None:
            headers.append(("retry-after", retry_after or str(seconds)))
        return Reply(429, _error(context, "rate_limit_error", said, None), headers)

    def models(self, context: Context, path: str) -> Reply:
        name = path.removeprefix("/v1/models").strip("/")
        if not name:
            body: Any = {
                "data": [_model(model) for model in _MODELS],
                "has_more": False,
                "first_id": next(iter(_MODELS)),
                "last_id": list(_MODELS)[-1],
            }
        elif name in _MODELS:
            body = _model(name)
        else:
            return self.refuse(context._replace(model=name), Trouble.MODEL_NOT_FOUND)
        return Reply(200, encode(body), _headers(context))


def _wish(body: _Body) -> Wish:
    form = body.output_config.format
    if not body.tools and form is None:
        return PLAIN
    content, choice = body.messages[-1].content, body.tool_choice
    tools = chosen(
        [Tool(one.name, one.input_schema) for one in body.tools if one.input_schema is not None],
        must=choice.type in {"any", "tool"},
        never=choice.type == "none",
        only=choice.name,
        after_result=isinstance(content, list) and content[-1].type == "tool_result",
    )
    return Wish(tools, None if form is None else form.schema)


def _content(context: Context, answer: Answer) -> list[dict[str, Any]]:
    if not answer.calls:
        return [{"type": "text", "text": answer.text}]
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{context.request_id[-20:]}{number}",
            "name": name,
            "input": arguments,
        }
        for number, (name, arguments) in enumerate(answer.calls)
    ]


def _block(at: int, block: dict[str, Any], texts: list[str]) -> list[dict[str, Any]]:
    """Say one block of a streamed answer, from its start to its stop."""
    if block["type"] == "tool_use":
        start = {**block, "input": {}}
        written = encode(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": written}]
    else:
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": text} for text in texts]
    return [
        {"type": "content_block_start", "index": at, "content_block": start},
        *({"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": at},
    ]


def _stop_reason(answer: Answer) -> str:
    if answer.calls:
        return "tool_use"
    return "max_tokens" if answer.is_cut else "end_turn"


def _error(context: Context, kind: str, message: str, error_code: str | None) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    return encode({"type": "error", "error": error, "request_id": f"req_{context.request_id}"})


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": _MODELS[name],
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


def _headers(context: Context) -> Headers:
    headers = [
        ("request-id", f"req_{context.request_id}"),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
    ]
    if context.standings:
        _add_standings(headers, context.standings, context.wall_time)
    return headers


def _add_standings(headers: Headers, standings: Standings, wall_time: float) -> None:
    shown = {_HEADER[key]: value for key, value in standings.items() if key in _HEADER}
    both = [shown[name] for name in ("input-tokens", "output-tokens") if name in shown]
    if both and "tokens" not in shown:
        shown["tokens"] = _combined(both)
    for name, standing in shown.items():
        rounding = 1 if name == "requests" else 1000
        remaining = round(standing.remaining / rounding) * rounding
        at = datetime.fromtimestamp(wall_time + standing.reset_s, UTC)
        prefix = f"anthropic-ratelimit-{name}"
        headers.append((f"{prefix}-limit", f"{standing.limit:.0f}"))
        headers.append((f"{prefix}-remaining", f"{min(remaining, int(standing.limit))}"))
        headers.append((f"{prefix}-reset", at.strftime("%Y-%m-%dT%H:%M:%SZ")))


def _combined(both: list[Standing]) -> Standing:
    """Show input and output as one, as the `tokens` headers do."""
    return Standing(
        sum(standing.limit for standing in both),
        sum(standing.remaining for standing in both),
        max(standing.reset_s for standing in both),
    )
