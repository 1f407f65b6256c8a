"""Settings: where they come from, which source wins, and what is said when one is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.errors import SettingsError
from promptmill.schema.secret import Secret
from promptmill.schema.settings import (
    LimitSettings,
    ProviderKind,
    ProviderSettings,
    load_settings,
)

Patch = pytest.MonkeyPatch


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert set(settings.providers) == {"openai", "anthropic", "gemini"}
    assert all(name == provider.kind for name, provider in settings.providers.items())
    assert settings.providers["openai"].api_key is None
    assert settings.sql_url == f"sqlite:///{Path.cwd() / '.promptmill' / 'promptmill.db'}"


def test_arguments_then_environment_then_files_then_dotenv_then_toml(monkeypatch: Patch) -> None:
    name = "PROMPTMILL_KEY_PREFIX"
    found = [load_settings().key_prefix]
    write("promptmill.toml", 'key_prefix = "toml"')
    found.append(load_settings().key_prefix)
    write(".env", f"{name}=dotenv\n")
    found.append(load_settings().key_prefix)
    monkeypatch.setenv(f"{name}_FILE", str(write("secret", "file\n")))
    found.append(load_settings().key_prefix)
    monkeypatch.setenv(name, "environment")
    found.append(load_settings().key_prefix)
    found.append(load_settings(key_prefix="argument").key_prefix)
    assert found == ["promptmill:", "toml", "dotenv", "file", "environment", "argument"]


def test_sources_fill_each_other_up_within_one_provider(monkeypatch: Patch) -> None:
    write("promptmill.toml", "[providers.openai]\nconcurrency = 7\nlimits.rpm = 5\n")
    write(".env", "PROMPTMILL_PROVIDERS__OPENAI__LIMITS__TPM=200k\nOPENAI_API_KEY=sk-dotenv\n")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    openai = load_settings().providers["openai"]
    assert openai == ProviderSettings(
        kind=ProviderKind.OPENAI,
        base_url="http://127.0.0.1:1/v1",
        api_key=Secret("sk-dotenv"),
        concurrency=7,
        limits=LimitSettings(rpm=5, tpm=200_000),
    )


def test_a_key_may_lie_in_a_file_that_the_environment_or_dotenv_names(monkeypatch: Patch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(write("one", " sk-one \n")))
    write(".env", f"ANTHROPIC_API_KEY_FILE={write('two', 'sk-two').absolute()}\n")
    providers = load_settings().providers
    assert providers["openai"].api_key == Secret("sk-one")
    assert providers["anthropic"].api_key == Secret("sk-two")


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: Patch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "/run/secrets/none")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY_FILE names '/run/secrets/none'"):
        load_settings()


def test_a_file_of_someone_elses_key_is_left_alone(monkeypatch: Patch) -> None:
    monkeypatch.setenv("WEATHER_API_KEY_FILE", "/run/secrets/none")
    load_settings()


@pytest.mark.parametrize("where", ["toml", "environment", "argument"])
def test_an_own_provider_takes_its_key_from_its_name(monkeypatch: Patch, where: str) -> None:
    overrides: dict[str, Any] = {}
    if where == "toml":
        write("promptmill.toml", '[providers.my-mill]\nkind = "openai"\n')
    elif where == "environment":
        monkeypatch.setenv("PROMPTMILL_PROVIDERS__MY-MILL__KIND", "openai")
    else:
        overrides = {"providers": {"my-mill": {"kind": "openai"}}}
    monkeypatch.setenv("MY_MILL_API_KEY", "sk-mine")
    monkeypatch.setenv("MY_MILL_BASE_URL", "http://127.0.0.1:1/v1")
    mine = load_settings(**overrides).providers["my-mill"]
    assert (mine.kind, mine.api_key) == (ProviderKind.OPENAI, Secret("sk-mine"))
    assert mine.base_url == "http://127.0.0.1:1/v1"


def test_our_own_name_of_a_key_wins_over_everybodys(monkeypatch: Patch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-everybody")
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__API_KEY", "sk-ours")
    assert load_settings().providers["openai"].api_key == Secret("sk-ours")


def test_googles_name_of_the_gemini_key_is_known_and_comes_second(monkeypatch: Patch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "google")
    assert load_settings().providers["gemini"].api_key == Secret("google")
    monkeypatch.setenv("GEMINI_API_KEY", "gemini")
    assert load_settings().providers["gemini"].api_key == Secret("gemini")


def test_the_usual_names_of_services_are_known_and_ours_win(monkeypatch: Patch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://one")
    monkeypatch.setenv("DATABASE_URL", "postgresql://one/db")
    assert load_settings().redis_url == "redis://one"
    assert load_settings().sql_url == "postgresql://one/db"
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", "redis://two")
    assert load_settings().redis_url == "redis://two"


def test_an_empty_variable_is_no_setting(monkeypatch: Patch) -> None:
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    settings = load_settings()
    assert (settings.redis_url, settings.providers["openai"].api_key) == (None, None)


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("PROMPTMILL_KEY_PREFX", "key_prefx"),
        ("PROMPTMILL_WORKER__CONCURENCY", "worker.concurency"),
        ("PROMPTMILL_PROVIDERS__OPENAI__LIMITS__RPS", "providers.openai.limits.rps"),
    ],
)
def test_a_setting_that_does_not_exist_is_named(
    monkeypatch: Patch, variable: str, path: str
) -> None:
    monkeypatch.setenv(variable, "5")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert f"  {path}: " in str(refused.value)
    assert "see docs/settings.md" in str(refused.value)


def test_a_wrong_value_is_named_without_being_shown(monkeypatch: Patch) -> None:
    monkeypatch.setenv("PROMPTMILL_LOG_LEVEL", "sk-pasted-in-the-wrong-place")
    with pytest.raises(SettingsError, match="log_level: ") as refused:
        load_settings()
    assert "sk-pasted" not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WORKER__CONCURRENCY", "many", "worker.concurrency: write a whole number"),
        ("WORKER__CONCURRENCY", "0", "worker.concurrency: write more than 0"),
        ("METRICS_PORT", "99999", "metrics_port: write 65535 or less"),
        ("PROVIDERS__OPENAI__LIMITS__RPM", "fast", "providers.openai.limits.rpm: write a number"),
        ("WEBHOOKS__ALLOW_PRIVATE", "maybe", "webhooks.allow_private: write true or false"),
        ("LOG_LEVEL", "loud", "log_level: write 'debug', 'info', 'warning' or 'error'"),
        ("PROVIDERS__MINE__BASE_URL", "http://h", "providers.mine.kind: has to be set"),
        ("PROVIDERS__OPENAI", "x", "providers.openai: is a section: set the names in it"),
        ("POOLS__A__MEMBERS", "x", "pools.a.members: write it as JSON, or in promptmill.toml"),
    ],
)
def test_a_wrong_value_is_told_with_what_to_write(
    name: str, value: str, told: str, monkeypatch: Patch
) -> None:
    monkeypatch.setenv(f"PROMPTMILL_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert f"\n  {told}" in str(refused.value)


def test_a_key_that_is_no_text_is_told_once() -> None:
    write("promptmill.toml", "[providers.openai]\napi_key = 12345")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value).count("write a text, in quotes") == 1
    assert "12345" not in str(refused.value)


def test_a_toml_that_is_none_is_refused() -> None:
    write("promptmill.toml", "key_prefix: yaml")
    with pytest.raises(SettingsError, match=r"promptmill\.toml is not TOML"):
        load_settings()


def test_a_file_that_is_not_utf_8_is_named(monkeypatch: Patch) -> None:
    told = {"promptmill.toml": "promptmill.toml of", ".env": ".env of", "key": "_FILE names 'key'"}
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "key")
    for name in told:
        Path(name).write_bytes(b'a = "caf\xe9"')
    for name, begin in told.items():
        with pytest.raises(SettingsError, match=f"{re.escape(begin)}.* UTF-8"):
            load_settings()
        Path(name).unlink()


def test_a_section_is_not_a_setting(monkeypatch: Patch) -> None:
    write("promptmill.toml", "providers = 5")
    with pytest.raises(SettingsError, match="providers: "):
        load_settings()
    monkeypatch.setenv("PROMPTMILL_RETRY", "5")
    monkeypatch.setenv("PROMPTMILL_RETRY__BASE_S", "5")
    with pytest.raises(SettingsError, match="'retry' is a section"):
        load_settings()


def test_a_setting_that_is_not_one_is_told_with_the_one_it_resembles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMPTMILL_WORKER__CONCURENCY", "3")
    monkeypatch.setenv("PROMPTMILL_TYPO", "1")
    with pytest.raises(SettingsError) as told:
        load_settings()
    assert "worker.concurency: there is no such setting; is it concurrency?" in str(told.value)
    assert "typo: there is no such setting\n" in str(told.value)


@pytest.mark.parametrize("proxy", ["socks5://a:secret@h:1", "http://", "http://a:secret@h:port"])
def test_a_proxy_that_cannot_be_spoken_to_is_told_without_its_password(
    monkeypatch: Patch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(SettingsError, match=r"network\.https_proxy: a proxy is http://") as told:
        load_settings()
    assert "secret" not in str(told.value)


POOL = "[pools.both]\nmembers = { openai = 3, openai-b = 1 }\n"


def test_a_pool_has_members_of_one_kind_that_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_B_API_KEY", "sk-second")
    monkeypatch.setenv("PROMPTMILL_POOLS__TOO__MEMBERS", '{"openai-b": 0, "openai": 0.5}')
    monkeypatch.setenv("PROMPTMILL_POOLS__THREE__MEMBERS__OPENAI_B", "2")
    Path("promptmill.toml").write_text(POOL + '[providers.openai-b]\nkind = "openai"\n')
    settings = load_settings()
    assert settings.pools["both"].members == {"openai": 3, "openai-b": 1}
    assert settings.pools["too"].members == {"openai-b": 0, "openai": 0.5}
    assert settings.pools["three"].members == {"openai-b": 2}
    assert settings.kinds["both"] is settings.kinds["openai"]
    for written, told in (
        (POOL, "the member 'openai-b' is no provider; there are anthropic, gemini, openai"),
        (POOL.replace("openai-b", "gemini"), "gemini of gemini and openai of openai"),
        (POOL.replace("3", "0").replace(", openai-b = 1", ""), "no member has a weight above 0"),
        (
            POOL.replace("both", "openai").replace(", openai-b = 1", ""),
            "there is a provider of this name too",
        ),
    ):
        monkeypatch.delenv("PROMPTMILL_POOLS__TOO__MEMBERS", raising=False)
        monkeypatch.delenv("PROMPTMILL_POOLS__THREE__MEMBERS__OPENAI_B", raising=False)
        Path("promptmill.toml").write_text(written)
        with pytest.raises(SettingsError, match="pools") as refused:
            load_settings()
        assert told in str(refused.value)


def test_fallbacks_are_tables_in_toml_and_json_in_a_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("promptmill.toml").write_text('[fallbacks]\n"gpt-4o*" = [{ to = "claude-haiku-4-5" }]\n')
    monkeypatch.setenv("PROMPTMILL_FALLBACKS__O3", '[{"to": "gpt-4o", "when": ["context"]}]')
    found = load_settings().fallbacks
    assert [one.to for one in found["gpt-4o*"]] == ["claude-haiku-4-5"]
    assert found["gpt-4o*"][0].when == ("paused", "context", "policy")
    assert found["o3"][0].when == ("context",)
    monkeypatch.setenv("PROMPTMILL_FALLBACKS__O3", "gpt-4o")
    with pytest.raises(SettingsError, match=r"fallbacks\.o3"):
        load_settings()
