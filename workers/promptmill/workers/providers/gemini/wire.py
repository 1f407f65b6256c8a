"""Gemini's wire format, as both of Google's SDKs carry it: addresses, and what came back."""

from collections.abc import Mapping
from typing import Final

from promptmill.schema.requests import Endpoint
from promptmill.workers.providers.chat import UnsendableError
from promptmill.workers.providers.gemini.embed import EMBED
from promptmill.workers.providers.gemini.faults import fault_of
from promptmill.workers.providers.gemini.generate import GENERATE
from promptmill.workers.providers.judge import Judge
from promptmill.workers.providers.operation import Operation

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


def judge_of(provider: str, secrets: tuple[str, ...]) -> Judge:
    """Judge what Gemini says; it tells no limits."""
    return Judge(
        provider,
        fault_of,
        secrets=secrets,
        request_ids=("x-request-id", "x-goog-request-id"),
    )
