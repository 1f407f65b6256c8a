"""Settings: where they come from, which source wins, and what is said when one is wrong."""

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from promptmill.schema.errors import SettingsError
from promptmill.schema.secret import Secret
from promptmill.schema.settings import (
    FallbackList,
    LimitSettings,
    PoolSettings,
    PriceSettings,
    ProviderKind,
    ProviderSettings,
    Settings,
    load_settings,
    parse_amount,
)

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
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


# Limits


def refusal_of(**openai: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(providers={"openai": openai})
    return str(refused.value)


def test_a_provider_may_be_told_how_it_counts_and_when_its_day_starts() -> None:
    write(
        "promptmill.toml",
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
        ({"limits": {"burst_s": 61}}, "limits.burst_s", "less than or equal to 60"),
        ({"limits": {"burst_s": -1}}, "limits.burst_s", "greater than or equal to 0"),
        ({"limits": {"rpm": float("inf")}}, "limits.rpm", "finite number"),
        ({"limits": {"tokens": "output"}}, "limits.tokens", "'max_tokens', 'usage' or 'input'"),
        ({"limits": {"cached_input": "half"}}, "limits.cached_input", "'counts' or 'free'"),
        ({"account": {"rpm": "none"}}, "account.rpm", "valid number"),
        ({"account": {"burst_s": 1}}, "account.burst_s", "a setting, but not in this section"),
        ({"models": {"*": {"rpm": 5}}}, "models", "all models together under `account`"),
        ({"models": {"": {"rpm": 5}}}, "models", "a model has no name"),
        ({"models": {"gpt*": {"rpn": 5}}}, "models.gpt*.rpn", "is it rpm?"),
        ({"read_limit_headers": "perhaps"}, "read_limit_headers", "valid boolean"),
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


# Secrets


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


# Documentation


def names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """List the dotted names of all settings; `<name>` stands for a provider, `<model>` for its."""
    found = []
    for field, info in model.model_fields.items():
        inner = info.annotation
        if inner == dict[str, ProviderSettings]:
            found += names(ProviderSettings, f"{prefix}{field}.<name>.")
        elif inner == dict[str, PoolSettings]:
            found += names(PoolSettings, f"{prefix}{field}.<name>.")
        elif inner == dict[str, LimitSettings]:
            found += names(LimitSettings, f"{prefix}{field}.<model>.")
        elif inner in (dict[str, str], dict[str, FallbackList]):
            found.append(f"{prefix}{field}.<model>")
        elif inner == dict[str, PriceSettings]:
            found += names(PriceSettings, f"{prefix}{field}.<model>.")
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            found += names(inner, f"{prefix}{field}.")
        else:
            found.append(prefix + field)
    return found


def rows() -> dict[str, list[str]]:
    lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells if len(row) == 5}


def test_every_setting_has_its_line_in_the_docs_and_no_other_has() -> None:
    assert sorted(rows()) == sorted(names(Settings))


def test_the_docs_name_the_variable_and_the_default_of_each_setting() -> None:
    for name, (variable, meaning, _unit, default) in rows().items():
        assert variable == f"`PROMPTMILL_{name.upper().replace('.', '__')}`"
        assert meaning
        assert default.strip("`") == shown_default(name), name


def test_the_toml_in_the_docs_can_be_used(monkeypatch: Patch) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    write("promptmill.toml", "\n".join(blocks))
    monkeypatch.setenv("MY_MILL_API_KEY", "sk-mine")
    providers = load_settings().providers
    assert providers["my-mill"].api_key == Secret("sk-mine")
    assert providers["openai"].limits.tpm == 30_000_000
    assert providers["openai"].models["gpt-4o"].rpm == 500


def shown_default(name: str) -> str:
    model: Any = Settings
    *path, last = name.replace(".<name>", "").replace(".<model>", "").split(".")
    inner = {
        "providers": ProviderSettings,
        "limits": LimitSettings,
        "models": LimitSettings,
        "prices": PriceSettings,
        "pools": PoolSettings,
    }
    for part in path:
        model = inner.get(part) or model.model_fields[part].annotation
    field = model.model_fields[last]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return str(value).lower()  # as TOML writes it
    return (
        "none"
        if value in (None, {}, ())
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


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
