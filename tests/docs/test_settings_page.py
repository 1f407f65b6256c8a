"""The page of settings has each setting, with its variable and its default."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from promptmill.schema.secret import Secret
from promptmill.schema.settings import (
    FallbackList,
    LimitSettings,
    PoolSettings,
    PriceSettings,
    ProviderSettings,
    Settings,
    load_settings,
)

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


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


def test_the_toml_in_the_docs_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    Path("promptmill.toml").write_text("\n".join(blocks), encoding="utf-8")
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
