"""What the pages name in backticks exists in the code: files, modules, functions, settings."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from promptmill.schema.settings import Settings
from promptmill.schema.tables import metadata
from tests.docs.pages import PAGES, ROOT, Page, page

HOUSES = ("schema", "producer", "workers", "gateway", "simulator", "tests")
FILE = re.compile(r"[\w./-]+\.(?:py|lua|md|toml|yml|sh|lock|jsonl|svg|conf|example|db|log)")
DOTTED = re.compile(r"_?[A-Za-z]\w*(?:\.[A-Za-z]\w*)+(?:\(\))?")
QUEUE = re.compile(r"promptmill\.(openai|anthropic|gemini)")


@cache
def names_in_code() -> frozenset[str]:
    """Every `module.name`, `module.Class.name` and `Class.name` of the houses and the tests."""
    return frozenset(name for path in code_files() for name in _names(path))


@cache
def code_files() -> tuple[Path, ...]:
    return tuple(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))


def _names(path: Path) -> Iterator[str]:
    module = path.parent.name if path.stem == "__init__" else path.stem
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name in _bound(tree.body):
        yield f"{module}.{name}"
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for name in _bound(node.body):
                yield f"{node.name}.{name}"
                yield f"{module}.{node.name}.{name}"


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@cache
def other_names() -> frozenset[str]:
    """Settings by their dotted names, and columns as `table.column`."""
    columns = {
        f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.c
    }
    settings = {
        f"{section}.{name}"
        for section in ("retry", "worker", "dispatch")
        for name in type(getattr(Settings(), section)).model_fields
    }
    return frozenset(columns | settings)


@pytest.mark.parametrize("page_", PAGES, ids=str)
def test_a_file_that_is_named_is_there(page_: Page) -> None:
    names = {path.name for path in code_files()}
    for span in page_.spans:
        if (ROOT / Path(span).parts[0]).is_dir() and FILE.fullmatch(span):
            assert (ROOT / span).exists(), f"{page_} names {span}"
        elif "/" not in span and span.endswith(".py"):
            assert span in names, f"{page_} names {span}"


@pytest.mark.parametrize(
    "name", ["docs/architecture.md", "docs/rate-limits.md", "docs/glossary.md", "CONTRIBUTING.md"]
)
def test_a_function_that_is_named_is_there(name: str) -> None:
    for span in page(name).spans:
        if DOTTED.fullmatch(span) and not FILE.fullmatch(span) and not QUEUE.fullmatch(span):
            known = names_in_code() | other_names()
            assert span.removesuffix("()") in known, f"{name} names {span}"


def test_the_walk_of_one_prompt_names_each_function_after_its_file() -> None:
    walk = page("docs/architecture.md").text.partition("## The way of one prompt")[2]
    walk = walk.partition("\n## ")[0]
    steps = re.split(r"^\d+\. ", walk, flags=re.MULTILINE)[1:]
    assert len(steps) >= 10
    for step in steps:
        assert re.search(r"\]\(\.\./[\w/]+\.py\)", step), f"no file to open in: {step[:60]}"
