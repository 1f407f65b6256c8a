"""Extras that are named in pages and messages are there, with the command that installs them."""

import re
import tomllib

import pytest

from promptmill.schema.extras import CHECKOUT, how_to_install
from tests.docs.pages import PAGES, ROOT, Page
from tests.docs.test_names import code_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("page_", PAGES, ids=str)
def test_an_extra_that_a_page_names_is_there(page_: Page) -> None:
    commands = re.findall(r"\./run extra ([a-z][\w-]*)", page_.text)
    wheels = re.findall(r"promptmill\[([\w,-]+)\]", page_.text)
    assert {name for found in commands + wheels for name in found.split(",")} <= EXTRAS


def test_an_extra_that_a_message_names_is_there() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in code_files())
    named = set(re.findall(r"""how_to_install\(['"]([\w-]+)['"]\)""", code))
    assert {"parquet", "otel"} < named <= EXTRAS


def test_how_to_install_one_is_told_by_the_environment() -> None:
    assert how_to_install("otel", str(CHECKOUT / ".venv")) == "./run extra otel"
    assert how_to_install("otel", "/usr") == "pip install 'promptmill[otel]'"
