"""Limits in the settings: how amounts are written, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.errors import SettingsError
from promptmill.schema.settings import (
    LimitSettings,
    load_settings,
    parse_amount,
)

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    ("typed", "amount"),
    [("500", 500), ("200k", 200_000), ("1.5M", 1_500_000), ("30,000", 30_000), (" 2 G ", 2e9)],
)
def test_amounts_may_be_written_as_people_do(typed: str, amount: float) -> None:
    assert parse_amount(typed) == amount
    assert LimitSettings(tpm=typed).tpm == amount  # type: ignore[arg-type]


@pytest.mark.parametrize("typed", ["many", "1.2.3", "-5", "0", "5kk", ""])
def test_what_is_no_amount_is_refused(typed: str) -> None:
    with pytest.raises(SettingsError, match=r"providers\.openai\.limits\.rpm: "):
        load_settings(providers={"openai": {"limits": {"rpm": typed}}})


def refusal_of(**openai: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(providers={"openai": openai})
    return str(refused.value)


def test_a_provider_may_be_told_how_it_counts_and_when_its_day_starts() -> None:
    Path("promptmill.toml").write_text(
        """
[providers.openai]
read_limit_headers = false
day_starts = "Europe/Berlin"
limits = { rpm = 600, burst_s = 1, tokens = "usage", cached_input = "free" }
account = { tpm = "40M", rpd = 10_000 }
models."o*" = { tpm = "2M", burst_s = 0 }
""",
    )
    openai = load_settings().providers["openai"]
    assert openai.limits == LimitSettings(rpm=600, burst_s=1, tokens="usage", cached_input="free")
    assert (openai.account.tpm, openai.account.rpd) == (40e6, 10_000)
    assert openai.models == {"o*": LimitSettings(tpm=2e6, burst_s=0)}
    assert (openai.read_limit_headers, openai.day_zone.key) == (False, "Europe/Berlin")


def test_a_day_starts_at_midnight_utc_and_for_gemini_at_midnight_pacific() -> None:
    zones = {name: provider.day_zone.key for name, provider in load_settings().providers.items()}
    assert zones == {"openai": "UTC", "anthropic": "UTC", "gemini": "America/Los_Angeles"}


def test_limits_of_a_model_may_be_set_in_the_environment(monkeypatch: Patch) -> None:
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__MODELS__GPT-4O__BURST_S", "2.5")
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__ACCOUNT__RPM", "5k")
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__READ_LIMIT_HEADERS", "true")
    openai = load_settings().providers["openai"]
    assert (openai.models["gpt-4o"].burst_s, openai.account.rpm) == (2.5, 5000)
    assert openai.read_limit_headers is True


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "", "../etc/passwd", "PST8"])
def test_a_time_zone_that_is_none_is_refused_with_what_to_write(zone: str) -> None:
    told = refusal_of(day_starts=zone)
    assert "\n  providers.openai.day_starts: there is no such time zone; write a name" in told


@pytest.mark.parametrize(
    ("wrong", "path", "advice"),
    [
        ({"limits": {"burst_s": 61}}, "limits.burst_s", "write 60 or less"),
        ({"limits": {"burst_s": -1}}, "limits.burst_s", "write 0 or more"),
        ({"limits": {"rpm": float("inf")}}, "limits.rpm", "not infinite"),
        ({"limits": {"tokens": "output"}}, "limits.tokens", "'max_tokens', 'usage' or 'input'"),
        ({"limits": {"cached_input": "half"}}, "limits.cached_input", "'counts' or 'free'"),
        ({"account": {"rpm": "none"}}, "account.rpm", "write a number"),
        ({"account": {"burst_s": 1}}, "account.burst_s", "a setting, but not in this section"),
        ({"models": {"*": {"rpm": 5}}}, "models", "all models together under `account`"),
        ({"models": {"": {"rpm": 5}}}, "models", "a model has no name"),
        ({"models": {"gpt*": {"rpn": 5}}}, "models.gpt*.rpn", "is it rpm?"),
        ({"read_limit_headers": "perhaps"}, "read_limit_headers", "write true or false"),
    ],
)
def test_a_wrong_limit_is_named_with_what_is_allowed(
    wrong: dict[str, Any], path: str, advice: str
) -> None:
    told = refusal_of(**wrong)
    assert f"\n  providers.openai.{path}: " in told
    assert advice in told


def test_headers_cannot_be_asked_of_gemini_which_has_none() -> None:
    with pytest.raises(
        SettingsError, match=r"providers\.gemini: .* leave it out, and set `limits`"
    ):
        load_settings(providers={"gemini": {"read_limit_headers": True}})
