"""The README's code runs: its Python against a mill at work, its SQL over what that left."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

from promptmill.schema.reading import query
from promptmill.simulator import Simulator
from tests.docs.pages import ROOT, page
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.valkey import Valkey

README = page("README.md")


def test_the_python_and_the_sql_that_are_shown_run(
    short_folder: Path, valkey: Valkey, simulator: Simulator
) -> None:
    (code,) = README.blocks("python")
    statement, header = shown_query()
    shutil.copytree(ROOT / "examples", short_folder / "examples")
    with RunningMill(short_folder, valkey, simulator) as mill:
        mill.start_dispatcher()
        mill.start_worker(OPENAI)
        told = mill.start_process(sys.executable, "-c", code, log="python.log")
        assert told.wait(40) == 0, (short_folder / "python.log").read_text()[-2000:]
        lines = (short_folder / "python.log").read_text().splitlines()
        assert {line.split()[0] for line in lines} >= {"r-001", "r-002"}
        for names, rows in query(mill.database, statement):
            assert names == header
            assert [row[0] for row in rows] == [OPENAI]


def shown_query() -> tuple[str, list[str]]:
    """Find the query and the names of the columns that are shown below it."""
    found = re.search(r'run sql "\n(.+?)"\n```\n\n```text\n(.+?)\n', README.text, re.DOTALL)
    assert found
    return found[1], found[2].split()


def test_the_versions_that_are_required_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert f"Python {oldest} or newer" in README.text
    assert project["license"] in README.text
