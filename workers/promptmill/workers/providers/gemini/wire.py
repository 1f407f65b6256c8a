"""Gemini's wire format, as both of Google's SDKs carry it: addresses, and what came back."""

from collections.abc import Mapping
from typing import Final

from promptmill.schema.requests import Endpoint
from promptmill.workers.providers import errors
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.providers.gemini.embed import EMBED
from promptmill.workers.providers.gemini.faults import fault_of
from promptmill.workers.providers.gemini.generate import GENERATE
from promptmill.workers.providers.operation import Envelope, Operation, read_reply
from promptmill.workers.providers.reply import Reply

BASE_URL: Final = "https://generativelanguage.googleapis.com"
API_VERSION: Final = "v1beta"
"""v1, the SDK's default, has neither all models nor all fields."""
OPERATIONS: Final[Mapping[Endpoint, Operation]] = {
    Endpoint.CHAT: GENERATE,
    Endpoint.EMBEDDINGS: EMBED,
}
VERTEX_OPERATIONS: Final[Mapping[Endpoint, Operation]] = {Endpoint.CHAT: GENERATE}
"""Vertex AI embeds by a request of another shape."""
_PREFIXES: Final = ("models/", "tunedModels/", "publishers/", "projects/")


def path_of(model: str, method: str, *, publisher: str = "") -> str:
    """Name the address of a *method* of *model*, below *publisher* at Vertex AI. Raises
    UnsendableError where it would be another one.
    """
    if ".." in model or set(model) & set("?&#% "):
        raise UnsendableError(field="model", problem="is no name of a model")
    full = model if model.startswith(_PREFIXES) else f"{publisher}models/{model}"
    return f"{full}:{method}"


def value_of(
    provider: str, operation: Operation, reply: Reply, *, call: Call, secrets: tuple[str, ...]
) -> Answer | Refusal:
    """Turn a complete response into a value."""
    envelope = Envelope(_request_id(reply))  # Gemini tells no limits
    if not 200 <= reply.status < 300:
        return refused(provider, reply, call=call, secrets=secrets)
    read = read_reply(operation, call, reply, envelope)
    if isinstance(read, Answer):
        return read
    return errors.unanswered(
        provider,
        reply,
        read,
        secrets=secrets,
        usage=operation.usage(reply),
        request_id=envelope.request_id,
    )


def refused(provider: str, reply: Reply, *, call: Call, secrets: tuple[str, ...]) -> Refusal:
    """Turn an error into a value."""
    return errors.refused(
        provider,
        reply,
        fault_of(reply),
        call=call,
        secrets=secrets,
        request_id=_request_id(reply),
        limits={},
    )


def _request_id(reply: Reply) -> str | None:
    return reply.headers.get("x-request-id") or reply.headers.get("x-goog-request-id")
