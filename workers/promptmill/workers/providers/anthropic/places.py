"""Where Claude is asked: Anthropic itself, and the clouds that serve it by its own wire format.

Amazon Bedrock takes the same requests with a signature or a key of its own
(https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html). Vertex AI has
the model in the address (https://docs.claude.com/en/api/claude-on-vertex-ai).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import anthropic
import httpx2
from anthropic._base_client import AsyncAPIClient
from anthropic._constants import ANTHROPIC_API_VERSION

from promptmill.schema.secret import Secret
from promptmill.workers.providers.http import TIMEOUT
from promptmill.workers.providers.signing import Signer, Unsigned

_DIRECT: Final = "https://api.anthropic.com"
_MULTI_REGIONS: Final = frozenset({"us", "eu"})
# On by default: a span for each call, and our trace ids sent to the provider.
_UNTRACED: Final[Any] = {"traces": False, "propagation": False}


@dataclass(frozen=True, slots=True)
class Place:
    """One place: the SDK's client for it, and how a request is addressed and signed."""

    client: AsyncAPIClient
    url: str
    signer: Signer
    names_model: bool = False
    """whether the model stands in the address, and not in the body"""

    def address(self, path: str, body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Tell to which URL *body* is sent, and as what."""
        if not self.names_model:
            return f"{self.url}{path}", body
        verb = "streamRawPredict" if body.get("stream") else "rawPredict"
        left = {name: value for name, value in body.items() if name != "model"}
        left.setdefault("anthropic_version", ANTHROPIC_API_VERSION)
        return f"{self.url}/{quote(str(body['model']), safe='@')}:{verb}", left


def by_key(api_key: Secret, base_url: str | None, http: httpx2.AsyncClient) -> Place:
    """Ask Anthropic, or who is at *base_url*."""
    base_url = base_url or _DIRECT
    client = anthropic.AsyncAnthropic(
        api_key=api_key.reveal(),
        base_url=base_url,
        max_retries=0,
        timeout=TIMEOUT,
        http_client=http,
        open_telemetry=_UNTRACED,
    )
    return Place(client, base_url.rstrip("/"), Unsigned())


def on_bedrock(
    api_key: Secret | None,
    signer: Signer,
    *,
    region: str,
    base_url: str | None,
    http: httpx2.AsyncClient,
) -> Place:
    """Ask Bedrock, with a key of its own, or signed."""
    base_url = base_url or f"https://bedrock-mantle.{region}.api.aws/anthropic"
    client = anthropic.AsyncAnthropicBedrockMantle(
        api_key=api_key.reveal() if api_key else None,
        skip_auth=api_key is None,
        aws_region=region,
        base_url=base_url,
        max_retries=0,
        timeout=TIMEOUT,
        http_client=http,
        open_telemetry=_UNTRACED,
    )
    return Place(client, base_url.rstrip("/"), signer)


def on_vertex(
    signer: Signer, *, project: str, region: str, base_url: str | None, http: httpx2.AsyncClient
) -> Place:
    """Ask Vertex AI."""
    base_url = base_url or f"https://{_vertex_host(region)}/v1"
    client = anthropic.AsyncAnthropicVertex(
        region=region,
        project_id=project,
        base_url=base_url,
        max_retries=0,
        timeout=TIMEOUT,
        http_client=http,
        open_telemetry=_UNTRACED,
    )
    models = f"projects/{project}/locations/{region}/publishers/anthropic/models"
    return Place(client, f"{base_url.rstrip('/')}/{models}", signer, names_model=True)


def _vertex_host(region: str) -> str:
    if region == "global":
        return "aiplatform.googleapis.com"
    if region in _MULTI_REGIONS:
        return f"aiplatform.{region}.rep.googleapis.com"
    return f"{region}-aiplatform.googleapis.com"
