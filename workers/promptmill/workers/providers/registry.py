"""From a provider's name and settings to its adapter.

An SDK takes 0.5 to 1 s and 50 to 75 MiB to import, so only those that are asked for are.
"""

from typing import assert_never

import httpx2

from promptmill.schema.errors import SettingsError
from promptmill.schema.network import DIRECT, NetworkSettings
from promptmill.schema.secret import Secret
from promptmill.schema.settings import ProviderKind, ProviderSettings
from promptmill.workers.providers.base import Provider


def make_provider(
    name: str,
    settings: ProviderSettings,
    http: httpx2.AsyncClient,
    network: NetworkSettings = DIRECT,
) -> Provider:
    """Build the adapter of provider *name* over the shared client *http* (see `open_http`).

    *network* is for the SDK that has a transport of its own. Raises SettingsError where a key is
    missing or an optional SDK is not installed. *http* stays the caller's to close, after the
    provider.
    """
    key = _key(name, settings)
    match settings.kind:
        case ProviderKind.OPENAI:
            from promptmill.workers.providers.openai.client import OpenAIProvider  # noqa: PLC0415

            return OpenAIProvider(
                name,
                api_key=key,
                base_url=settings.base_url,
                http=http,
                read_limit_headers=settings.read_limit_headers,
            )
        case ProviderKind.ANTHROPIC:
            from promptmill.workers.providers.anthropic.client import (  # noqa: PLC0415
                AnthropicProvider,
            )

            return AnthropicProvider(
                name,
                api_key=key,
                base_url=settings.base_url,
                http=http,
                read_limit_headers=settings.read_limit_headers,
            )
        case ProviderKind.GEMINI:
            return _gemini(name, settings, key, http, network)
        case _:
            assert_never(settings.kind)


def _gemini(
    name: str,
    settings: ProviderSettings,
    key: Secret,
    http: httpx2.AsyncClient,
    network: NetworkSettings,
) -> Provider:
    if settings.sdk == "google-genai":
        from promptmill.workers.providers.gemini.client import GeminiProvider  # noqa: PLC0415

        return GeminiProvider(name, api_key=key, base_url=settings.base_url, http=http)
    try:
        from promptmill.workers.providers.gemini.legacy import (  # noqa: PLC0415
            GeminiLegacyProvider,
        )
    except ImportError as error:
        msg = (
            f"providers.{name}.sdk is google-generativeai, which is not installed: "
            "`pip install 'promptmill[google-generativeai]'`, or leave the setting out to use "
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


def _key(name: str, settings: ProviderSettings) -> Secret:
    if settings.api_key is not None and settings.api_key.reveal():
        return settings.api_key
    variable = f"{name.upper().replace('-', '_')}_API_KEY"
    msg = (
        f"provider {name!r} has no key: set {variable} (or {variable}_FILE, the path of a file "
        "that holds it) in the environment or in .env; for a server of your own that needs none, "
        "any word will do"
    )
    raise SettingsError(msg)
