"""From settings to an adapter, or to a message that says what to do."""

import subprocess
import sys

import pytest

from promptmill.schema.errors import SettingsError
from promptmill.schema.settings import ProviderKind, ProviderSettings
from promptmill.workers.providers.registry import make_provider
from tests.providers.dialects import DIALECTS, Harness


@pytest.mark.parametrize(
    ("provider", "variable"), [("openai", "OPENAI_API_KEY"), ("my-vllm", "MY_VLLM_API_KEY")]
)
@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key_is_told_by_the_variable_that_holds_it(
    harness: Harness, provider: str, variable: str, key: str | None
) -> None:
    settings = ProviderSettings.model_validate({"kind": ProviderKind.OPENAI, "api_key": key})
    with pytest.raises(SettingsError, match=f"set {variable} "):
        make_provider(provider, settings, harness.http)


@pytest.mark.parametrize(
    ("adapter", "absent"),
    [
        ("openai", {"anthropic", "google.genai", "google.generativeai"}),
        ("anthropic", {"openai", "google.genai", "google.generativeai"}),
        ("gemini", {"openai", "anthropic", "google.generativeai"}),
    ],
)
def test_only_the_sdk_that_is_asked_for_is_imported(adapter: str, absent: set[str]) -> None:
    kind = DIALECTS[adapter].kind.value
    code = (
        "import sys\n"
        "from promptmill.schema.settings import ProviderSettings\n"
        "from promptmill.workers.providers.http import open_http\n"
        "from promptmill.workers.providers.registry import make_provider\n"
        f"settings = ProviderSettings(kind={kind!r}, api_key='k')\n"
        f"make_provider({adapter!r}, settings, open_http(concurrency=1))\n"
        "print(*sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert not absent & set(loaded)
