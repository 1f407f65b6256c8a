"""Anthropic's messages (https://docs.claude.com/en/api/messages)."""

from typing import Any, Final

import anthropic
import httpx2
import msgspec
from anthropic._types import RequestOptions

from promptmill.schema.bounds import ANTHROPIC_MAX_TOKENS
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.requests import native_of
from promptmill.schema.secret import Secret
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import Chat, UnsendableError, encode, read_chat
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.http import TIMEOUT, Lost, exchange
from promptmill.workers.providers.reply import Reply, decode, limits_told, tool_call

# Said with each request, or the SDK would copy its defaults deeply for each.
_OPTIONS: Final[RequestOptions] = {"max_retries": 0, "timeout": TIMEOUT, "params": {}}
_NOT_SAID: Final = frozenset({"seed", "frequency_penalty", "presence_penalty"})
_HEADERS: Final = {
    "anthropic-ratelimit-requests-limit": "rpm",
    "anthropic-ratelimit-input-tokens-limit": "itpm",
    "anthropic-ratelimit-output-tokens-limit": "otpm",
}
_BY_CODE: Final = {
    "ramp_limit_exceeded": ErrorKind.RATE,
    "enforced_spend_limit_reached": ErrorKind.MONEY,
    "contract_spend_limit_reached": ErrorKind.MONEY,
    "linked_organization_spend_limit_reached": ErrorKind.MONEY,
    "linked_organization_billing_unavailable": ErrorKind.MONEY,
    "organization_on_hold": ErrorKind.KEY,
}
_BY_TYPE: Final = {
    "billing_error": ErrorKind.MONEY,
    "authentication_error": ErrorKind.KEY,
    "permission_error": ErrorKind.KEY,
    "overloaded_error": ErrorKind.OVERLOADED,
}
# A limit that the customer set, answered as 400 without a code: the one case told by its words.
_SPENT: Final = "You have reached your specified API usage limits"


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    id: Any = None
    name: Any = None
    input: Any = None


class _ThinkingDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _ThinkingDetails | None = None


class _UsageOnly(msgspec.Struct):
    usage: _Usage | None = None


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str | None = None
    id: str | None = None
    model: str | None = None


class _Details(msgspec.Struct):
    error_code: str | None = None


class _Error(msgspec.Struct):
    type: str
    message: str = ""
    details: _Details | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


class AnthropicProvider:
    """Messages through the official SDK, without its retries, its models and its tracing."""

    def __init__(
        self,
        name: str,
        *,
        api_key: Secret,
        base_url: str | None,
        http: httpx2.AsyncClient,
        read_limit_headers: bool | None = None,
    ) -> None:
        self._name = name
        self._secrets = (api_key.reveal(),)
        # Their names are Anthropic's own: whoever sends them means the same.
        self._limit_headers = {} if read_limit_headers is False else _HEADERS
        base_url = base_url or "https://api.anthropic.com"
        self._url = f"{base_url.rstrip('/')}/v1/messages"
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key.reveal(),
            base_url=base_url,
            max_retries=0,
            timeout=TIMEOUT,
            http_client=http,
            # On by default: a span for each call, and our trace ids sent to the provider.
            open_telemetry={"traces": False, "propagation": False},
        )

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            body = encode(_body(call))
        except UnsendableError as verdict:
            return errors.unsendable(self._name, verdict)
        reply = await exchange(
            self._post(body, call.request_id),
            timeout_s=call.timeout_s,
            sdk_errors=(anthropic.AnthropicError,),
        )
        if isinstance(reply, Lost):
            return errors.lost(self._name, reply)
        return self._read(reply) if 200 <= reply.status < 300 else self._refuse(reply, call)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    async def _post(self, body: bytes, request_id: str) -> Reply:
        try:
            response = await self._client.post(
                self._url,
                content=body,
                options={**_OPTIONS, "headers": {"X-Client-Request-Id": request_id}},
                cast_to=httpx2.Response,
            )
        except anthropic.APIStatusError as error:
            response = error.response
        return Reply(response.status_code, response.headers, response.content)

    def _read(self, reply: Reply) -> Answer | Refusal:
        message = decode(reply.body, _Message)
        if message is None or not message.stop_reason:
            problem = "no message" if message is None else "no stop_reason"
            return self._bad(reply, problem)
        texts = [block.text for block in message.content if block.type == "text" and block.text]
        return Answer(
            text="".join(texts) if texts else None,
            finish_reason=message.stop_reason,
            usage=_usage(reply),
            response_model=message.model,
            response_id=message.id,
            request_id=reply.headers.get("request-id"),
            tool_calls=tuple(_tool_call(one) for one in message.content if one.type == "tool_use"),
            limits=limits_told(reply.headers, self._limit_headers),
        )

    def _bad(self, reply: Reply, problem: str) -> Refusal:
        return errors.bad_response(
            self._name,
            reply,
            problem,
            secrets=self._secrets,
            usage=_usage(reply),
            request_id=reply.headers.get("request-id"),
        )

    def _refuse(self, reply: Reply, call: Call) -> Refusal:
        return errors.refused(
            self._name,
            reply,
            _fault(reply),
            call=call,
            secrets=self._secrets,
            request_id=reply.headers.get("request-id"),
            limits=limits_told(reply.headers, self._limit_headers),
        )


def _body(call: Call) -> dict[str, Any]:
    native = native_of(call.body)
    if native is not None:
        return native | {"model": call.model}
    return _message_body(call.model, read_chat(call.body, without=_NOT_SAID))


def _message_body(model: str, chat: Chat) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": chat.max_tokens or ANTHROPIC_MAX_TOKENS,
        "messages": [{"role": turn.role, "content": turn.text} for turn in chat.turns],
    }
    if chat.system is not None:
        body["system"] = chat.system
    if chat.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": chat.schema}}
    for name, value in chat.sampling.items():
        body["stop_sequences" if name == "stop" else name] = value
    return body


def _tool_call(block: _Block) -> dict[str, Any]:
    return tool_call(block.id, block.name, block.input)


def _usage(reply: Reply) -> Usage | None:
    body = decode(reply.body, _UsageOnly)
    if body is None or body.usage is None:
        return None
    told = body.usage
    read, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    details = told.output_tokens_details or _ThinkingDetails()
    return Usage(
        input_tokens=told.input_tokens + read + written,  # theirs leaves both out
        output_tokens=told.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=details.thinking_tokens or 0,
    )


def _fault(reply: Reply) -> Fault:
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return Fault(errors.kind_of(reply.status))
    error = body.error
    code = error.details.error_code if error.details else None
    return Fault(_kind(reply.status, code, error), code or error.type, error.message)


def _kind(status: int, code: str | None, error: _Error) -> ErrorKind:
    if known := _BY_CODE.get(code or "") or _BY_TYPE.get(error.type):
        return known
    if status == 400 and error.message.startswith(_SPENT):
        return ErrorKind.MONEY
    if status == 429 and errors.is_daily(error.message):
        return ErrorKind.DAILY
    return errors.kind_of(status)
