"""OpenAI: chat completions and models.

Facts from the API reference, the rate limits guide and error bodies seen in public issues.
"""

import math
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
from promptmill.simulator.limits import Cost, Excess, Standings
from promptmill.simulator.provider import Provider
from promptmill.simulator.shapes import PLAIN, Tool, Wish, chosen
from promptmill.simulator.wire import Headers, Reply, Request

_ORGANIZATION = "org-promptmillsimulator"
_MODELS = ("gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "o4-mini")


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Tool(msgspec.Struct):
    function: _Function | None = None


class _JSONSchema(msgspec.Struct):
    schema: dict[str, Any] = {}


class _Form(msgspec.Struct):
    type: str
    json_schema: _JSONSchema = msgspec.field(default_factory=_JSONSchema)


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Tool | None = None
    response_format: _Form | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


_decoder = msgspec.json.Decoder(_Body)

# trouble: status, type, code, param, message
_ERRORS: dict[Trouble, tuple[int, str, str | None, str | None, str]] = {
    Trouble.INVALID_REQUEST: (
        400, "invalid_request_error", None, None,
        "We could not parse the JSON body of your request.",
    ),
    Trouble.CONTEXT_LENGTH: (
        400, "invalid_request_error", "context_length_exceeded", "messages",
        ("This model's maximum context length is 128000 tokens. However, your messages resulted "
        "in 130001 tokens. Please reduce the length of the messages."),
    ),
    Trouble.CONTENT_POLICY: (
        400, "invalid_request_error", "content_policy_violation", None,
        "Your request was rejected as a result of our safety system.",
    ),
    Trouble.BAD_KEY: (
        401, "invalid_request_error", "invalid_api_key", None,
        ("Incorrect API key provided. You can find your API key at "
        "https://platform.openai.com/account/api-keys."),
    ),
    Trouble.UNAUTHORIZED: (
        401, "invalid_request_error", None, None,
        ("You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."),
    ),
    Trouble.PAYMENT_REQUIRED: (
        402, "unknown_error", "invalid_request_error", None, "Insufficient Balance",
    ),
    Trouble.FORBIDDEN: (
        403, "invalid_request_error", "unsupported_country_region_territory", None,
        "Country, region, or territory not supported",
    ),
    Trouble.MODEL_NOT_FOUND: (
        404, "invalid_request_error", "model_not_found", None,
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    Trouble.REQUEST_TIMEOUT: (408, "timeout", None, None, "Request timed out."),
    Trouble.CONFLICT: (
        409, "invalid_request_error", None, None,
        "The resource was updated by another request. Please try again.",
    ),
    Trouble.TOO_LARGE: (
        413, "invalid_request_error", None, None,
        "Maximum content size limit (26214400) exceeded.",
    ),
    Trouble.UNPROCESSABLE: (
        422, "invalid_request_error", None, None, "The request could not be processed.",
    ),
    Trouble.RAMP: (
        429, "requests", "slow_down", None,
        ("Your requests have increased too fast. Please reduce your request rate to its original "
        "level, keep it there for at least 15 minutes, and then gradually raise it."),
    ),
    Trouble.MONEY: (
        429, "insufficient_quota", "insufficient_quota", None,
        ("You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, read the docs: "
        "https://platform.openai.com/docs/guides/error-codes/api-errors."),
    ),
    Trouble.SERVER_ERROR: (
        500, "server_error", None, None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    Trouble.UNAVAILABLE: (
        503, "server_error", None, None,
        "The server is temporarily unable to handle your request. Please try again later.",
    ),
    Trouble.GATEWAY_TIMEOUT: (504, "server_error", None, None, "The gateway timed out."),
    Trouble.OVERLOADED: (
        503, "service_unavailable_error", "server_is_overloaded", None,
        "Our servers are currently overloaded. Please try again later.",
    ),
}  # fmt: skip
_BAD_GATEWAY = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
    b"Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)
_WORDS = {
    Dimension.RPM: ("requests", "requests per min (RPM)"),
    Dimension.RPD: ("requests", "requests per day (RPD)"),
    Dimension.TPM: ("tokens", "tokens per min (TPM)"),
    Dimension.ITPM: ("tokens", "input tokens per min (ITPM)"),
    Dimension.OTPM: ("tokens", "output tokens per min (OTPM)"),
}


class OpenAI:
    """See `Dialect`."""

    provider = Provider.OPENAI

    def key(self, request: Request) -> str:
        return request.head.header(b"authorization").removeprefix("Bearer ").strip()

    def parse(self, request: Request) -> Prompt:
        body = decode_as(_decoder, request.body)
        if not body.messages:
            msg = "Invalid 'messages': empty array. Expected an array with minimum length 1."
            raise Unreadable(msg)
        texts = [text for message in body.messages for text in text_of(message.content)]
        maximum = body.max_completion_tokens or body.max_tokens
        tells = body.stream_options is not None and body.stream_options.include_usage
        text, streams = "\n".join(texts), bool(body.stream)
        return Prompt(body.model, text, maximum, streams, tells, wish=_wish(body))

    def thinks(self, model: str) -> bool:
        return model.startswith(("gpt-5", "o1", "o3", "o4"))

    def cost_at_start(self, prompt: Prompt, input_tokens: int) -> Cost:
        # "the maximum of max_tokens and the estimated number of tokens based on the character
        # count of your request": the rate limits guide.
        tokens = max(prompt.max_tokens or 0, input_tokens)
        return Cost(rpm=1, tpm=tokens, itpm=input_tokens, rpd=1)

    def cost_at_end(self, output_tokens: int) -> Cost:
        return Cost(otpm=output_tokens)

    def succeed(self, context: Context, answer: Answer) -> Reply:
        output = answer.output_tokens + answer.thinking_tokens
        body = {
            "id": f"chatcmpl-{context.request_id}",
            "object": "chat.completion",
            "created": int(context.wall_time),
            "model": context.model,
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None if answer.calls else answer.text,
                        "refusal": None,
                        "annotations": [],
                        **_tool_calls(context, answer),
                    },
                    "logprobs": None,
                    "finish_reason": _finish(answer),
                }
            ],
            "usage": {
                "prompt_tokens": answer.input_tokens,
                "completion_tokens": output,
                "total_tokens": answer.input_tokens + output,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": answer.thinking_tokens,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "default",
            "system_fingerprint": "fp_promptmill",
        }
        return Reply(200, encode(body), headers_of(context))

    def stream(self, context: Context, prompt: Prompt, answer: Answer, texts: list[str]) -> Reply:
        whole = msgspec.json.decode(self.succeed(context, answer).body)
        (choice,), usage = whole.pop("choices"), whole.pop("usage")
        whole["object"] = "chat.completion.chunk"
        told = {"usage": None} if prompt.tells_usage else {}
        beginning = {"role": "assistant", "content": "", "refusal": None}
        calls = [
            {"tool_calls": [{"index": at, **call}]}
            for at, call in enumerate(choice["message"].get("tool_calls", ()))
        ]
        deltas = [beginning, *({"content": text} for text in texts), *calls, {}]
        chunks = [
            {
                **whole,
                "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
                **told,
            }
            for delta in deltas
        ]
        chunks[-1]["choices"][0]["finish_reason"] = choice["finish_reason"]
        if prompt.tells_usage:
            chunks.append({**whole, "choices": [], "usage": usage})
        events = (*(event(chunk) for chunk in chunks), b"data: [DONE]\n\n")
        return Reply(200, b"", headers_of(context), EVENT_STREAM, events)

    def error_event(self, body: bytes) -> bytes:
        return event(body)

    def refuse(self, context: Context, trouble: Trouble, *, message: str | None = None) -> Reply:
        if trouble is Trouble.BAD_GATEWAY:
            return Reply(502, _BAD_GATEWAY, headers_of(context), "text/html")
        status, kind, code, param, usual = _ERRORS[trouble]
        said = message or usual.format(model=context.model)
        return Reply(status, _error(said, kind, param, code), headers_of(context))

    def limit(self, context: Context, excess: Excess, *, retry_after: str | None) -> Reply:
        kind, words = _WORDS[excess.dimension]
        headers = headers_of(context)
        where = f"for {context.model} in organization {_ORGANIZATION} on {words}"
        more = "Visit https://platform.openai.com/account/rate-limits to learn more."
        if math.isinf(excess.wait_s):
            said = (
                f"Request too large {where}: Limit {excess.limit:.0f}, Requested "
                f"{excess.requested:.0f}. The input or output tokens must be reduced in order to "
                f"run successfully. {more}"
            )
        else:
            told = retry_after is not None or context.tells_wait
            again = f"Please try again in {duration(excess.wait_s)}. " if told else ""
            said = (
                f"Rate limit reached {where}: Limit {excess.limit:.0f}, Used {excess.used:.0f}, "
                f"Requested {excess.requested:.0f}. {again}{more}"
            )
            if told:
                headers += _waits(excess.wait_s, retry_after)
        return Reply(429, _error(said, kind, None, "rate_limit_exceeded"), headers)

    def models(self, context: Context, path: str) -> Reply:
        name = path.removeprefix("/v1/models").strip("/")
        if not name:
            body: Any = {"object": "list", "data": [_model(model) for model in _MODELS]}
        elif name in _MODELS:
            body = _model(name)
        else:
            return self.refuse(context._replace(model=name), Trouble.MODEL_NOT_FOUND)
        return Reply(200, encode(body), headers_of(context))


def _wish(body: _Body) -> Wish:
    if not body.tools and body.response_format is None:
        return PLAIN
    choice = body.tool_choice
    only = choice.function.name if isinstance(choice, _Tool) and choice.function else None
    functions = [tool.function for tool in body.tools or () if tool.function]
    tools = chosen(
        [Tool(one.name, one.parameters) for one in functions],
        must=choice == "required" or only is not None,
        never=choice == "none",
        only=only,
        after_result=body.messages[-1].role == "tool",
    )
    form = body.response_format
    schema = None if form is None or form.type == "text" else form.json_schema.schema
    return Wish(tools, schema)


def _finish(answer: Answer) -> str:
    if answer.calls:
        return "tool_calls"
    return "length" if answer.is_cut else "stop"


def _tool_calls(context: Context, answer: Answer) -> dict[str, Any]:
    if not answer.calls:
        return {}
    calls = [
        {
            "id": f"call_{context.request_id[-20:]}{number}",
            "type": "function",
            "function": {"name": name, "arguments": encode(arguments).decode()},
        }
        for number, (name, arguments) in enumerate(answer.calls)
    ]
    return {"tool_calls": calls}


def duration(seconds: float) -> str:
    """Write seconds as OpenAI does: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    shown = f"{rest:.3f}".rstrip("0").rstrip(".")
    hours, minutes = divmod(int(minutes), 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{shown}s"


def _waits(wait_s: float, retry_after: str | None) -> Headers:
    if retry_after is not None:
        return [("retry-after", retry_after)]
    milliseconds = max(1, math.ceil(wait_s * 1000))
    seconds = math.ceil(milliseconds / 1000)
    return [("retry-after", str(seconds)), ("retry-after-ms", str(milliseconds))]


def _error(message: str, kind: str, param: str | None, code: str | None) -> bytes:
    return encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "system"}


def headers_of(context: Context) -> Headers:
    """Say what OpenAI says beside each answer."""
    headers = [
        ("x-request-id", f"req_{context.request_id}"),
        ("openai-organization", _ORGANIZATION),
        ("openai-version", "2020-10-01"),
    ]
    if context.standings:
        _add_standings(headers, context.standings)
    return headers


def _add_standings(headers: Headers, standings: Standings) -> None:
    for name, dimensions in (
        ("requests", (Dimension.RPM, Dimension.RPD)),
        ("tokens", (Dimension.TPM, Dimension.ITPM)),
    ):
        shown = [standings[dimension] for dimension in dimensions if dimension in standings]
        if shown:
            standing = shown[0]
            headers.append((f"x-ratelimit-limit-{name}", f"{standing.limit:.0f}"))
            headers.append((f"x-ratelimit-remaining-{name}", f"{int(standing.remaining)}"))
            headers.append((f"x-ratelimit-reset-{name}", duration(standing.reset_s)))
