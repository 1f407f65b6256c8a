"""The official SDKs pointed at a simulator, and a client that speaks HTTP by hand."""

import json
import socket
import warnings
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import anthropic
import httpx2
import openai
from google import genai
from google.genai import types as genai_types

from promptmill.simulator import Simulator

with warnings.catch_warnings():
    # It says at import that it is no longer supported.
    warnings.simplefilter("ignore", FutureWarning)
    # Its own types are half told, so it is taken as untyped.
    old_genai: Any = import_module("google.generativeai")

KEY = "sk-simulated"
PATIENCE_S = 10.0


class Sdks:
    """One call by each SDK, each client with its own retries off."""

    def __init__(self, stack: ExitStack) -> None:
        # Reading the system's certificates takes each client 0.1 s, and nothing here is TLS.
        self._http = stack.enter_context(httpx2.Client(verify=False, timeout=PATIENCE_S))
        # Never used: genai makes one for each client otherwise, with certificates.
        self._http_async = httpx2.AsyncClient(verify=False)

    def openai(self, simulator: Simulator, key: str = KEY) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=simulator.openai_url, api_key=key, max_retries=0, http_client=self._http
        )

    def anthropic(self, simulator: Simulator, key: str = KEY) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            base_url=simulator.anthropic_url, api_key=key, max_retries=0, http_client=self._http
        )

    def gemini(self, simulator: Simulator, key: str = KEY, version: str = "v1beta") -> genai.Client:
        options = genai_types.HttpOptions(
            base_url=simulator.gemini_url,
            api_version=version,
            timeout=int(PATIENCE_S * 1000),
            httpx_client=self._http,
            httpx_async_client=self._http_async,
            retry_options=genai_types.HttpRetryOptions(attempts=1),
        )
        return genai.Client(api_key=key, http_options=options)

    def ask(self, provider: str, simulator: Simulator, text: str = "hello") -> Any:
        """Send *text* by the SDK of *provider* and return what it returns, or raise."""
        if provider == "openai":
            return self.openai(simulator).chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": text}]
            )
        if provider == "anthropic":
            return self.anthropic(simulator).messages.create(
                model="claude-sonnet-5",
                max_tokens=100,
                messages=[{"role": "user", "content": text}],
            )
        if provider == "google-generativeai":
            return self._ask_old_gemini(simulator, text)
        return self.gemini(simulator).models.generate_content(
            model="gemini-2.5-flash", contents=text
        )

    def _ask_old_gemini(self, simulator: Simulator, text: str) -> Any:
        old_genai.configure(
            api_key=KEY, transport="rest", client_options={"api_endpoint": simulator.gemini_url}
        )
        model = old_genai.GenerativeModel("gemini-2.5-flash")
        try:
            return model.generate_content(
                text, request_options={"retry": None, "timeout": PATIENCE_S}
            )
        finally:
            model._client._transport._session.close()


class RawClient:
    """A socket that speaks HTTP by hand, to see what SDKs hide."""

    def __init__(self, simulator: Simulator) -> None:
        host, port = simulator.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def send(self, text: str = "hello", headers: str = "") -> None:
        """Ask OpenAI's dialect."""
        body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
        self.socket.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{headers}"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )

    def read_answer(self) -> tuple[bytes, bytes]:
        """Read head and as much body as its content-length says, or as comes."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length and (more := self.socket.recv(65536)):
            body += more
        return head, body

    def read_to_end(self) -> bytes:
        """Read until the other side closes."""
        data = b""
        while more := self.socket.recv(65536):
            data += more
        return data

    def _more(self) -> bytes:
        more = self.socket.recv(65536)
        assert more, "the connection was closed before the headers were complete"
        return more
