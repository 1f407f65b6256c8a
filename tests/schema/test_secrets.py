"""A secret among the settings is shown to nobody."""

import copy
import pickle
import re
from typing import Any

import pytest

from promptmill.schema.secret import Secret
from promptmill.schema.settings import (
    load_settings,
)

Patch = pytest.MonkeyPatch


def test_a_secret_shows_only_its_fingerprint() -> None:
    secret = Secret(" sk-very-secret\n")
    assert secret.reveal() == "sk-very-secret"
    assert re.fullmatch(r"Secret\([0-9a-f]{8}\)", repr(secret))
    assert "very" not in f"{secret} {secret!r} {[secret]}"
    assert secret == Secret("sk-very-secret")
    assert secret.fingerprint != Secret("sk-another").fingerprint


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy, copy.copy])
def test_a_secret_is_neither_pickled_nor_copied(leak: Any) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        leak(Secret("sk-very-secret"))


def test_settings_show_no_secret(monkeypatch: Patch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("PROMPTMILL_REDIS_PASSWORD", "sk-very-secret")
    settings = load_settings()
    assert "sk-very" not in f"{settings} {settings!r} {settings.model_dump()}"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(settings)
