"""`./run bench limits` runs, and prints what it says it prints. No figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "limits.py"
COMMON = {"case", "demand", "ok", "missed"}


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


def objects(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("case", "count", "figures"),
    [
        pytest.param(
            *("window", 2, {"limit", "admitted", "most_in_any_60_s"}), marks=pytest.mark.long
        ),
        ("cost", 1, {"cpu_ratio_alone", "bookings_a_second_of_one_core", "client_p99_ms"}),
    ],
)
def test_each_line_is_an_object_with_figures_demands_and_a_verdict(
    case: str, count: int, figures: set[str]
) -> None:
    told = objects(bench(case, "--seconds", "0.2"))
    assert [each["case"] for each in told] == [case] * count
    for each in told:
        assert each.keys() >= COMMON | figures
        assert each.keys() >= each["demand"].keys() >= set(each["missed"])
        assert each["ok"] == (not each["missed"])


def test_a_case_that_does_not_exist_is_refused_with_those_that_do() -> None:
    done = bench("nonsense")
    assert done.returncode == 2
    for case in ("contention", "told", "untold", "restart"):
        assert case in done.stderr
