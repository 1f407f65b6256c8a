"""Settings with limits, and a Redis for the limiter."""

from pathlib import Path

import pytest

from promptmill.schema.settings import Settings, load_settings
from tests.services.valkey import Valkey

TOML = """
[providers.openai]
concurrency = 200
[providers.openai.limits]
rpm = 60_000
tpm = "60M"
[providers.openai.account]
tpm = "100M"
[providers.openai.models."o3*"]
rpm = "10k"
rpd = 1000
[providers.anthropic.limits]
rpm = 50
"""


@pytest.fixture
def settings(settings: Settings, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with limits, and a Redis."""
    Path("promptmill.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", valkey.url)
    return load_settings()
