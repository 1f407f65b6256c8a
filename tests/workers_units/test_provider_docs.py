"""The pages of docs/ say what the code does."""

import re
import tomllib
from pathlib import Path

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.settings import Platform, ProviderKind, ProviderSettings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def errors_page() -> str:
    return (DOCS / "errors.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def providers_page() -> str:
    return (DOCS / "providers.md").read_text(encoding="utf-8")


def test_the_one_table_has_every_kind_of_error_once_and_says_what_to_do(errors_page: str) -> None:
    section = errors_page.partition("## The one table")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|(.+)\|(.+)\|$", section, re.MULTILINE)
    assert [row[0] for row in rows] == [kind.value for kind in ErrorKind]
    assert all(cell.strip() for row in rows for cell in row)


def test_every_platform_is_described(providers_page: str) -> None:
    for platform in Platform:
        assert f"\n| `{platform}` |" in providers_page


def test_every_kind_of_provider_is_described(providers_page: str) -> None:
    for kind in ProviderKind:
        assert f"| `{kind}` |" in providers_page


def test_the_example_of_a_vendor_is_a_valid_setting(providers_page: str) -> None:
    vendor, clouds = (
        [
            ProviderSettings.model_validate(one)
            for one in tomllib.loads(example)["providers"].values()
        ]
        for example in re.findall(r"```toml\n(.*?)```", providers_page, re.DOTALL)
    )
    assert [one.limits.tpm for one in vendor] == [300_000]
    assert [one.platform for one in clouds] == ["vertex", "azure"]
