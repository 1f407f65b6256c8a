"""Calls that ask each adapter for a stream."""

from dataclasses import replace
from typing import Any

from promptmill.schema.requests import Endpoint, native_request
from promptmill.workers.providers.base import Call
from tests.providers.dialects import Harness

RESPONSES = "openai:responses"
MODELS = {"openai": "gpt-5", RESPONSES: "gpt-5", "anthropic": "claude-sonnet-5"}


def streamed(harness: Harness, name: str, **body: Any) -> Call:
    model = MODELS.get(name, "gemini-2.5-flash")
    call = harness.call(model=model, stream=True, **body)
    if name != RESPONSES:
        return call
    native = native_request({"input": call.body["messages"][0]["content"]}, Endpoint.RESPONSES)
    return replace(call, body={**call.body, **native}, endpoint=Endpoint.RESPONSES)
