"""docs/reliability.md promises what tests hold, and nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    files = (ROOT / "tests").rglob("test_*.py")
    there = {
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named
    assert named <= there


def test_every_test_of_a_crash_is_named_by_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for file in (ROOT / "tests" / "crash").glob("test_*.py"):
        if file != Path(__file__):
            for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE):
                assert f"`{name}`" in page, f"{name} is not in docs/reliability.md"
