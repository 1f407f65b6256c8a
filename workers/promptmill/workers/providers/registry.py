"""From a provider's name and settings to its adapter.

An SDK takes 0.5 to 1 s and 50 to 75 MiB to import, so only those that are asked for are.
"""

from typing import TYPE_CHECKING, assert_never

from promptmill.schema.environment import key_variable
from promptmill.schema.errors import SettingsError
from promptmill.schema.extras import how_to_install
from promptmill.schema.network import DIRECT, NetworkSettings
from promptmill.schema.secret import Secret
from promptmill.schema.settings import Platform, ProviderKind, ProviderSettings
from promptmill.workers.providers.base import Provider
from promptmill.workers.providers.batches import BatchApi
from promptmill.workers.providers.embedding import Embedding
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.signing import Signer, Unsigned

if TYPE_CHECKING:
    from promptmill.workers.providers.google_credentials import GoogleCredentials


def make_provider(
    name: str,
    settings: ProviderSettings,
    http: LeanClient,
    network: NetworkSettings = DIRECT,
) -> Provider:
    """Build the adapter of provider *name* over the shared client *http* (see `open_http`).

    *network* is for what has a transport of its own. Raises SettingsError where a key or another
    credential is missing, or an optional SDK is not installed. *http* stays the caller's to close,
    after the provider.
    """
    match settings.kind:
        case ProviderKind.OPENAI:
            from promptmill.workers.providers.openai.client import OpenAIProvider  # noqa: PLC0415

            return OpenAIProvider(
                name,
                api_key=_key(name, settings),
                base_url=settings.base_url,
                http=http,
                read_limit_headers=settings.read_limit_headers,
                on_azure=settings.platform is Platform.AZURE,
            )
        case ProviderKind.ANTHROPIC:
            return _anthropic(name, settings, http, network)
        case ProviderKind.GEMINI if settings.sdk == "google-genai":
            return _gemini(name, settings, http, network)
        case ProviderKind.GEMINI:
            return _gemini_legacy(name, settings, network)
        case _:
            assert_never(settings.kind)


def _anthropic(
    name: str, settings: ProviderSettings, http: LeanClient, network: NetworkSettings
) -> Provider:
    from promptmill.workers.providers.anthropic import places  # noqa: PLC0415
    from promptmill.workers.providers.anthropic.client import AnthropicProvider  # noqa: PLC0415

    key, base_url, region = settings.key, settings.base_url, settings.region or ""
    if settings.platform is Platform.VERTEX:
        place = places.on_vertex(
            _google_credentials(name, network),
            project=settings.project or "",
            region=region,
            base_url=base_url,
            http=http,
        )
    elif settings.platform is Platform.BEDROCK:
        signer = Unsigned() if key else _aws_credentials(name, region)
        place = places.on_bedrock(key, signer, region=region, base_url=base_url, http=http)
    else:
        key = _key(name, settings)
        place = places.by_key(key, base_url, http)
    return AnthropicProvider(
        name,
        place,
        http=http,
        secrets=(key.reveal(),) if key else (),
        read_limit_headers=settings.read_limit_headers,
    )


def _gemini(
    name: str, settings: ProviderSettings, http: LeanClient, network: NetworkSettings
) -> Provider:
    from promptmill.workers.providers.gemini import client  # noqa: PLC0415

    if settings.platform is not Platform.VERTEX:
        key = _key(name, settings)
        return client.GeminiProvider(
            name,
            client.by_key(key, settings.base_url, http),
            http=http,
            signer=Unsigned(),
            secrets=(key.reveal(),),
        )
    credentials = _google_credentials(name, network)
    vertex = client.on_vertex(
        credentials.found,
        project=settings.project or "",
        region=settings.region or "",
        base_url=settings.base_url,
        http=http,
    )
    return client.GeminiProvider(name, vertex, http=http, signer=credentials, secrets=())


def _gemini_legacy(name: str, settings: ProviderSettings, network: NetworkSettings) -> Provider:
    key = _key(name, settings)
    try:
        from promptmill.workers.providers.gemini.legacy import (  # noqa: PLC0415
            GeminiLegacyProvider,
        )
    except ImportError as error:
        msg = (
            f"providers.{name}.sdk is google-generativeai, which is not installed: "
            f"`{how_to_install('google-generativeai')}`, or leave the setting out to use "
            "google-genai, the SDK that Google maintains"
        )
        raise SettingsError(msg) from error
    return GeminiLegacyProvider(
        name,
        api_key=key,
        base_url=settings.base_url,
        concurrency=settings.concurrency,
        network=network,
    )


def _google_credentials(name: str, network: NetworkSettings) -> "GoogleCredentials":
    from promptmill.workers.providers.google_credentials import (  # noqa: PLC0415
        GoogleCredentials,
    )

    return GoogleCredentials(name, network)


def _aws_credentials(name: str, region: str) -> Signer:
    try:
        from promptmill.workers.providers.aws_credentials import AwsCredentials  # noqa: PLC0415
    except ImportError as error:
        msg = (
            f"providers.{name} signs its requests to Bedrock by botocore, which is not installed:"
            f" `{how_to_install('bedrock')}`, or give it an API key of Bedrock"
        )
        raise SettingsError(msg) from error
    return AwsCredentials(name, region=region)


def _key(name: str, settings: ProviderSettings) -> Secret:
    if (key := settings.key) is not None:
        return key
    variable = key_variable(name)
    msg = (
        f"provider {name!r} has no key: set {variable} (or {variable}_FILE, the path of a file "
        "that holds it) in the environment or in .env; for a server of your own that needs none, "
        "any word will do"
    )
    raise SettingsError(msg)


def embedding_of(name: str, kind: ProviderKind) -> Embedding:
    """Tell how provider *name* is asked for vectors. Raises SettingsError where it makes none."""
    match kind:
        case ProviderKind.OPENAI:
            from promptmill.workers.providers.openai import embeddings  # noqa: PLC0415

            return embeddings.EMBEDDING
        case ProviderKind.GEMINI:
            from promptmill.workers.providers.gemini import embed  # noqa: PLC0415

            return embed.EMBEDDING
        case ProviderKind.ANTHROPIC:
            msg = f"cache.embedder names {name}, and the kind {kind} makes no vectors"
            raise SettingsError(msg)
        case _:
            assert_never(kind)


def make_batch_api(
    name: str,
    settings: ProviderSettings,
    http: LeanClient,
    network: NetworkSettings = DIRECT,
) -> BatchApi:
    """Build the batch API of provider *name*, as `make_provider` builds the adapter.

    Raises SettingsError where there is none that promptmill speaks.
    """
    provider = make_provider(name, settings, http, network)
    match settings.kind:
        case ProviderKind.OPENAI:
            from promptmill.workers.providers.openai.batches import OpenAIBatches  # noqa: PLC0415
            from promptmill.workers.providers.openai.client import OpenAIProvider  # noqa: PLC0415

            if isinstance(provider, OpenAIProvider):
                return OpenAIBatches(provider)
        case ProviderKind.ANTHROPIC:
            from promptmill.workers.providers.anthropic import batches, client  # noqa: PLC0415

            if isinstance(provider, client.AnthropicProvider):
                return batches.AnthropicBatches(provider)
        case ProviderKind.GEMINI:
            from promptmill.workers.providers.gemini.batches import GeminiBatches  # noqa: PLC0415
            from promptmill.workers.providers.gemini.client import GeminiProvider  # noqa: PLC0415

            if isinstance(provider, GeminiProvider):
                return GeminiBatches(provider)
    msg = f"providers.{name}.batch_api is set, and the kind {settings.kind} has none here"
    raise SettingsError(msg)
