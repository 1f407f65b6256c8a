"""OpenAI, and every vendor that speaks its chat completions.

https://platform.openai.com/docs/api-reference/chat

The request shape is our own, so a body goes out as it came: only `model` is set, the output limit
gets the name that the endpoint knows, and what would change the transport (`stream`) is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
import openai
from openai._types import RequestOptions

from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.secret import Secret
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.errors import Fault
from promptmill.workers.providers.http import TIMEOUT, Lost, exchange
from promptmill.workers.providers.reply import Reply, decode, limits_told

_MONEY: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
# Answered as a rate limit, without Retry-After: the request is larger than the limit itself.
_NEVER_FITS: Final = "Request too large"
_HEADERS: Final = {"x-ratelimit-limit-requests": "rpm", "x-ratelimit-limit-tokens": "tpm"}
# Said with each request, or the SDK would copy its defaults deeply, and make up a key, for each.
_OPTIONS: Final[RequestOptions] = {
    "max_retries": 0,
    "timeout": TIMEOUT,
    "params": {},
    "idempotency_key": "never sent",
    "security": {"bearer_auth": True},
}
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


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What differs between the servers that speak this dialect."""

    output_limit: str
    """The field that limits the output. OpenAI's newer models refuse `max_tokens`, most other
    vendors know nothing else."""
    limit_headers: Mapping[str, str]
    """Header of a ceiling -> our name of it."""


def endpoint_of(base_url: str | None, *, read_limit_headers: bool | None = None) -> Endpoint:
    """Say how the server at *base_url* wants to be spoken to; None is OpenAI itself.

    Where nothing is said, limit headers are read only where they are known to be per minute:
    OpenAI, Azure, and a server of our own on this machine. Groq's `requests` is per day
    (https://console.groq.com/docs/rate-limits).
    """
    host = urlsplit(base_url).hostname or "" if base_url else "api.openai.com"
    is_openai = host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))
    is_local = host in {"localhost", "127.0.0.1", "::1"}
    reads = is_openai or is_local if read_limit_headers is None else read_limit_headers
    return Endpoint(
        "max_completion_tokens" if is_openai else "max_tokens", _HEADERS if reads else {}
    )


class OpenAIProvider:
    """Chat completions through the official SDK, without its retries and its models."""

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
        self._endpoint = endpoint_of(base_url, read_limit_headers=read_limit_headers)
        base_url = base_url or "https://api.openai.com/v1"
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._client = openai.AsyncOpenAI(
            api_key=api_key.reveal(),
            base_url=base_url,
            max_retries=0,
            timeout=TIMEOUT,
            http_client=http,
        )

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            body = self._encode(call)
        except UnsendableError as verdict:
            return errors.unsendable(self._name, verdict)
        reply = await exchange(
            self._post(body, call.request_id),
            timeout_s=call.timeout_s,
            sdk_errors=(openai.OpenAIError,),
        )
        if isinstance(reply, Lost):
            return errors.lost(self._name, reply)
        if 200 <= reply.status < 300:
            return self._read(reply, call)
        return self._refuse(reply, call)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    def _encode(self, call: Call) -> bytes:
        if call.body.get("n", 1) != 1:
            raise UnsendableError(
                field="n", problem="one prompt gets one answer; send the prompt more than once"
            )
        body = {key: value for key, value in call.body.items() if key not in _OURS}
        for known in ("max_tokens", "max_completion_tokens"):
            if known in body:
                body.setdefault(self._endpoint.output_limit, body[known])
                if known != self._endpoint.output_limit:
                    del body[known]
        body["model"] = call.model
        return encode(body)

    async def _post(self, body: bytes, request_id: str) -> Reply:
        try:
            response = await self._client.post(
                self._url,
                content=body,
                options={**_OPTIONS, "headers": {"X-Client-Request-Id": request_id}},
                cast_to=httpx2.Response,
            )
        except openai.APIStatusError as error:
            response = error.response
        return Reply(response.status_code, response.headers, response.content)

    def _read(self, reply: Reply, call: Call) -> Answer | Refusal:
        completion = decode(reply.body, _Completion)
        if completion is None or not completion.choices:
            if body := decode(reply.body, _ErrorBody):  # some gateways answer 200 with an error
                return self._refuse(_with_status(reply, body.error.code), call)
            problem = "no chat completion" if completion is None else "no choices"
            return self._bad(reply, problem)
        choice = completion.choices[0]
        if not choice.finish_reason:
            return self._bad(reply, "no finish_reason")
        text, refusal = choice.message.content, choice.message.refusal
        return Answer(
            text=refusal if text is None else text,
            finish_reason="refusal" if text is None and refusal else choice.finish_reason,
            usage=_usage(reply),
            response_model=completion.model,
            response_id=completion.id,
            request_id=reply.headers.get("x-request-id"),
            tool_calls=tuple(choice.message.tool_calls or ()),
            limits=self._limits(reply),
        )

    def _bad(self, reply: Reply, problem: str) -> Refusal:
        return errors.bad_response(
            self._name,
            reply,
            problem,
            secrets=self._secrets,
            usage=_usage(reply),
            request_id=reply.headers.get("x-request-id"),
        )

    def _refuse(self, reply: Reply, call: Call) -> Refusal:
        return errors.refused(
            self._name,
            reply,
            _fault(reply),
            call=call,
            secrets=self._secrets,
            request_id=reply.headers.get("x-request-id"),
            limits=self._limits(reply),
        )

    def _limits(self, reply: Reply) -> dict[str, float]:
        return limits_told(reply.headers, self._endpoint.limit_headers)


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
    )


def _fault(reply: Reply) -> Fault:
    body = decode(reply.body, _ErrorBody)
    if body is None:
        return Fault(errors.kind_of(reply.status))
    code = str(body.error.code or body.error.type or "") or None
    message = body.error.message or ""
    return Fault(_kind(reply.status, {code, body.error.type}, message), code, message)


def _kind(status: int, codes: set[str | None], message: str) -> ErrorKind:
    if codes & _MONEY:
        return ErrorKind.MONEY
    if status in (429, 503) and "slow_down" in codes:
        return ErrorKind.RATE
    if status == 429 and message.startswith(_NEVER_FITS):
        return ErrorKind.REQUEST
    if status == 429 and errors.is_daily(message):
        return ErrorKind.DAILY
    return errors.kind_of(status)


def _with_status(reply: Reply, code: str | int | None) -> Reply:
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return Reply(status, reply.headers, reply.body)
