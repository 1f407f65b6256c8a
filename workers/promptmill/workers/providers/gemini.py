"""Gemini through google-genai, the SDK that Google maintains."""

from collections.abc import Mapping
from typing import Any

import httpx2
from google import genai
from google.genai import errors as sdk
from google.genai import types

from promptmill.schema.requests import native_of
from promptmill.schema.secret import Secret
from promptmill.workers.providers import errors, gemini_wire
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import Chat, Turn, UnsendableError, encode, read_chat
from promptmill.workers.providers.http import Lost, exchange
from promptmill.workers.providers.reply import Reply

# Three ways in which this SDK sends more than one request for a call: retries (and, with its own
# transport and no HttpRetryOptions, one silent repetition), function calling, continuation.
_ONCE = types.HttpRetryOptions(attempts=1)
_CONFIG = types.GenerateContentConfig(
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    automatic_continuation=False,
    should_return_http_response=True,
)
_NAMES = {"stop": "stop_sequences"}


class GeminiProvider:
    """generateContent by the SDK's public call, with the response as it came over HTTP."""

    def __init__(
        self, name: str, *, api_key: Secret, base_url: str | None, http: httpx2.AsyncClient
    ) -> None:
        self._name = name
        self._secrets = (api_key.reveal(),)
        self._client = genai.Client(  # kept whole: its `aio` alone is collected in mid call
            vertexai=False,
            api_key=api_key.reveal(),
            http_options=types.HttpOptions(
                base_url=base_url or gemini_wire.BASE_URL,
                api_version=gemini_wire.API_VERSION,
                httpx_async_client=http,
                retry_options=_ONCE,
            ),
        )

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        try:
            contents, config = _asked(call)
        except UnsendableError as verdict:
            return errors.unsendable(self._name, verdict)
        reply = await exchange(
            self._generate(call.model, contents, config),
            timeout_s=call.timeout_s,
            # ValueError: the SDK decodes an error's body by itself, and bytes that are no text
            # stop it there.
            sdk_errors=(sdk.APIError, ValueError),
        )
        if isinstance(reply, Lost):
            return errors.lost(self._name, reply)
        return gemini_wire.read(self._name, reply, call, self._secrets)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    async def _generate(
        self, model: str, contents: Any, config: types.GenerateContentConfig
    ) -> Reply:
        try:
            generated = await self._client.aio.models.generate_content(
                model=model, contents=contents, config=config
            )
        except sdk.APIError as error:
            response = error.response
            if not isinstance(response, httpx2.Response):
                raise
            return Reply(response.status_code, response.headers, response.content)
        raw = generated.sdk_http_response or types.HttpResponse()
        headers = {name.lower(): value for name, value in (raw.headers or {}).items()}
        return Reply(200, headers, (raw.body or "").encode())


def _asked(call: Call) -> tuple[Any, types.GenerateContentConfig]:
    """Say *call* in the SDK's words. Raises UnsendableError."""
    native = native_of(call.body)
    if native is not None:
        encode(native)
        # Laid by the SDK over the request that it makes itself, of which then nothing is left.
        return "native", _config(call.request_id, http={"extra_body": native})
    chat = read_chat(call.body)
    encode(gemini_wire.request_of(chat))
    return [_content(turn) for turn in chat.turns], _chat_config(chat, call.request_id)


def _content(turn: Turn) -> types.Content:
    role = "model" if turn.role == "assistant" else "user"
    return types.Content(role=role, parts=[types.Part(text=turn.text)])


def _chat_config(chat: Chat, request_id: str) -> types.GenerateContentConfig:
    update = {_NAMES.get(name, name): value for name, value in chat.sampling.items()}
    if chat.system is not None:
        update["system_instruction"] = chat.system
    if chat.max_tokens is not None:
        update["max_output_tokens"] = chat.max_tokens
    if chat.schema is not None:
        update["response_mime_type"] = "application/json"
        update["response_json_schema"] = chat.schema
    return _config(request_id, **update)


def _config(
    request_id: str, *, http: Mapping[str, Any] | None = None, **update: Any
) -> types.GenerateContentConfig:
    headers = {"X-Client-Request-Id": request_id}
    options = types.HttpOptions(headers=headers, **(http or {}))
    return _CONFIG.model_copy(update={"http_options": options, **update})
