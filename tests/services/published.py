"""OpenAI's published schemas of its answers: what the gateway says is held against them."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx2
import jsonschema_rs

_SCHEMAS: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_name("openai_schemas.json").read_text("utf-8")
)
_VECTORS: Final = "CreateEmbeddingResponse"
_RESPONSE: Final = "Response"
_ANSWERS: Final = (
    ("GET /v1/files", "ListFilesResponse"),
    ("(GET|POST) /v1/files(/[^/]+)?", "OpenAIFile"),
    ("DELETE /v1/files/[^/]+", "DeleteFileResponse"),
    ("POST /v1/uploads/[^/]+/parts", "UploadPart"),
    ("POST /v1/uploads.*", "Upload"),
    ("GET /v1/batches", "ListBatchesResponse"),
    ("(GET|POST) /v1/batches.*", "Batch"),
    ("GET /v1/models", "ListModelsResponse"),
    ("GET /v1/models/.+", "Model"),
    ("POST /v1/chat/completions", "CreateChatCompletionResponse"),
    ("POST /v1/responses", _RESPONSE),
    ("POST /v1/embeddings", _VECTORS),
)
"""method and path, and which schema the answer has; the first that fits"""
_BODIES: Final = {
    "chat.completion": "CreateChatCompletionResponse",
    "response": _RESPONSE,
    "list": _VECTORS,
}
"""`object` of a body in a file of answers"""
_EVENT: Final = "ResponseStreamEvent"
CHUNK: Final = "CreateChatCompletionStreamResponse"


def hold(name: str, value: object) -> None:
    """Hold *value* against the schema of this name."""
    error = next(iter(_validator(name).iter_errors(value)), None)
    assert error is None, f"no {name}: {error.message} at {list(error.instance_path)}"


def hold_body(body: dict[str, Any]) -> None:
    """Hold a body of a file of answers against its schema, if it is here."""
    if body.get("object") in _BODIES:
        hold(_BODIES[body["object"]], body)


def hold_event(event: dict[str, Any]) -> None:
    """Hold an event of a streamed response against its schema."""
    response = dict(event.get("response") or {})
    if response and response["usage"] is None:
        del response["usage"]  # OpenAI sends a null until it ends, and describes none
        event = {**event, "response": response}
    hold(_EVENT, event)


def hold_answer(response: httpx2.Response) -> None:
    """Hold an answer of the gateway against its schema; for clients, as a hook."""
    if response.headers.get("content-type") != "application/json":
        return
    response.read()
    asked = f"{response.request.method} {response.request.url.path}"
    found = (name for pattern, name in _ANSWERS if re.fullmatch(pattern, asked))
    name = "ErrorResponse" if response.status_code >= 400 else next(found, None)
    body = response.json()
    if name == _VECTORS and isinstance(body["data"][0]["embedding"], str):
        return  # asked for in base64, which is not published
    if name is not None:
        hold(name, body)


@cache
def _validator(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**_SCHEMAS, "$ref": f"#/$defs/{name}"})
