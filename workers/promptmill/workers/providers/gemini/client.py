"""Gemini through google-genai, the SDK that Google maintains.

Its public call makes models of the request, of the configuration and of the answer, for more CPU
than the request itself takes. So the body is ours (as for google-generativeai), and the client's
own next layer sends it: that one knows key, address, headers and errors.
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx2
from google import genai
from google.genai import errors as sdk
from google.genai import types

from promptmill.schema.secret import Secret
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError, encode
from promptmill.workers.providers.gemini import wire
from promptmill.workers.providers.http import Lost, exchange
from promptmill.workers.providers.reply import Reply

# This SDK may send a request more than once: retries, and, with its own transport and no
# HttpRetryOptions, one silent repetition.
_ONCE: Final = types.HttpRetryOptions(attempts=1)


class GeminiProvider:
    """All endpoints of Gemini, by the SDK's client, with the response as it came over HTTP."""

    def __init__(
        self, name: str, *, api_key: Secret, base_url: str | None, http: httpx2.AsyncClient
    ) -> None:
        self._name = name
        self._secrets = (api_key.reveal(),)
        self._client = genai.Client(  # kept whole: its `aio` alone is collected in mid call
            vertexai=False,
            api_key=api_key.reveal(),
            http_options=types.HttpOptions(
                base_url=base_url or wire.BASE_URL,
                api_version=wire.API_VERSION,
                httpx_async_client=http,
                retry_options=_ONCE,
            ),
        )

    async def complete(self, call: Call) -> Answer | Refusal:
        """Send *call* exactly once, within its deadline."""
        operation = wire.OPERATIONS[call.endpoint]
        try:
            path, body = wire.path_of(call.model, operation), operation.body(call)
            encode(body)  # the SDK does it by itself, and would stumble over what is no text
        except UnsendableError as verdict:
            return errors.unsendable(self._name, verdict)
        reply = await exchange(
            self._post(path, body, call.request_id),
            timeout_s=call.timeout_s,
            # ValueError: the SDK decodes an error's body by itself, and bytes that are no text
            # stop it there.
            sdk_errors=(sdk.APIError, ValueError),
        )
        if isinstance(reply, Lost):
            return errors.lost(self._name, reply)
        return wire.value_of(self._name, operation, reply, call=call, secrets=self._secrets)

    async def close(self) -> None:
        """Do nothing: connections belong to the shared client."""

    async def _post(self, path: str, body: Mapping[str, Any], request_id: str) -> Reply:
        headers = {"X-Client-Request-Id": request_id}
        options = types.HttpOptions.model_construct(headers=headers)
        sender = self._client._api_client  # noqa: SLF001  tests hold it to what the public call sends
        try:
            # A copy: the SDK takes fields out of what it is given.
            answered = await sender.async_request("post", path, dict(body), options)
        except sdk.APIError as error:
            response = error.response
            if not isinstance(response, httpx2.Response):
                raise
            return Reply(response.status_code, response.headers, response.content)
        headers = {name.lower(): value for name, value in (answered.headers or {}).items()}
        return Reply(200, headers, (answered.body or "").encode())
