"""docs/reliability.md promises what tests hold, and nothing else."""

import re
from pathlib import Path

from tests.chaos.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def test_every_test_that_the_page_names_is_linked_to_the_file_that_has_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    linked = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)", text)
    assert {name for name, _ in linked} == set(re.findall(r"\btest_\w+(?=`)", text))
    for name, file in set(linked):
        assert name in _TEST.findall((ROOT / file).read_text(encoding="utf-8")), f"{name}: {file}"


def test_every_line_of_what_happens_if_has_its_test() -> None:
    text = PAGE.read_text(encoding="utf-8")
    told = text.partition("## What happens if")[2].partition("## By number")[0]
    lines = [line for line in told.splitlines() if line.count("|") == 4 and "---" not in line]
    for line in lines:
        assert "`test_" in line or line.startswith(("| if |", "| killed |")) or _is_a_step(line), (
            line
        )


def test_every_test_of_a_crash_is_named_by_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for file in (ROOT / "tests" / "crash").glob("test_*.py"):
        if file != Path(__file__):
            for name in _TEST.findall(file.read_text("utf-8")):
                assert f"`{name}`" in page, f"{name} is not in docs/reliability.md"


def test_the_page_lists_every_fault_by_number_and_says_what_is_open() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## By number")[2]
    rows = dict(re.findall(r"^\| (R\d\d) \|(.+)\|$", text, re.MULTILINE))
    assert list(rows) == [fault.number for fault in FAULTS]
    for fault in FAULTS:
        assert fault.done in rows[fault.number]
        said = rows[fault.number].partition("open: ")[2].partition(" |")[0]
        assert said == fault.open, f"{fault.number} is open: {fault.open}"


def _is_a_step(line: str) -> bool:
    """The steps at which a worker is killed have their two tests above the table."""
    return re.fullmatch(r"\| [^|]+ \| [01] \| 0, (answered|quarantined) \|", line) is not None
