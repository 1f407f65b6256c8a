"""A secret among the settings is shown to nobody."""

import copy
import pickle
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.errors import SettingsError
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


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("sk-very\nsecret", "character 8 of the key is a line break"),
        ("sk-very\rsecret\n", "character 8 of the key is a line break"),
        ("sk-very\tsecret", "character 8 of the key is invisible"),
        ("\ufeffsk-very-secret", "character 1 of the key is invisible"),
        ("sk-very-secrét", "character 13 of the key is no plain ASCII"),
    ],
)
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    key: str, what: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    """Found at the start: each prompt would fail by it, five times."""
    (tmp_path / "key").write_text(key, encoding="utf-8", newline="")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert f"providers.openai.api_key (OPENAI_API_KEY, OPENAI_API_KEY_FILE): {what}" in str(
        refused.value
    )
    assert "secr" not in str(refused.value)
    assert "very" not in "".join(traceback.format_exception(refused.value))


def test_the_line_break_at_the_end_of_a_key_is_left_out(monkeypatch: Patch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret\r\n")
    assert load_settings().providers["openai"].api_key == Secret("sk-very-secret")
