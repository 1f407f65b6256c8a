"""`./run bench path` runs, and prints what it says it prints. No figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "path.py"


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_a_line_is_an_object_with_figures_demands_and_a_verdict() -> None:
    done = bench("start", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    (told,) = map(json.loads, done.stdout.splitlines())
    assert told["case"] == "start"
    assert told["cpu_s"] > 0
    assert told["demand"].keys() == {"cpu_s"}
    assert told["ok"] == (not told["missed"])


def test_a_case_that_does_not_exist_is_refused_with_those_that_do() -> None:
    done = bench("nonsense")
    assert done.returncode == 2
    for case in ("openai", "events", "added", "start"):
        assert case in done.stderr
