"""The pages of docs/ say what the code does."""

import re
import tomllib
from pathlib import Path

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint
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


def test_what_can_be_asked_is_told_of_every_endpoint_and_provider_without_a_gap(
    providers_page: str,
) -> None:
    section = providers_page.partition("## What can be asked")[2].partition("\n**Native**")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ][2:]
    assert all(len(row) == 7 and all(row[1:]) for row in rows)
    told: dict[str, str] = {}
    endpoint = ""
    for kind, whom, *_ in rows:
        endpoint = kind.partition(" ")[0] or endpoint
        told[endpoint] = told.get(endpoint, "") + whom
    assert told.keys() == set(Endpoint)
    for vendors in told.values():
        assert all(name in vendors for name in ("OpenAI", "Anthropic", "Gemini"))


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
