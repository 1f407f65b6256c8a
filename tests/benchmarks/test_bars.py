"""What a benchmark printed becomes a picture."""

import json
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.common.bars import draw, rows_of

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "common" / "bars.py"
MEASURED = (
    {
        "case": "grid",
        "in_flight": 1000,
        "latency_s": 0.2,
        "cpu_us": 700.0,
        "cpu_us_min": 650.0,
        "cpu_us_max": 800.0,
        "bare_cpu_us": 7000.0,
        "bare_cpu_us_min": 7000.0,
        "bare_cpu_us_max": 7000.0,
    },
    {"case": "curator", "skipped": "could not be installed"},
)
LINES = [json.dumps(each) for each in MEASURED]


def test_objects_without_two_sides_are_passed_over() -> None:
    (row,) = rows_of(LINES)
    assert row.label == "1,000 in flight at 0.2 s"
    assert (row.ours.median, row.theirs.median) == (700.0, 7000.0)


def test_bars_are_as_long_as_their_figures() -> None:
    widths = re.findall(r'width="([\d.]+)" height="11"', draw(rows_of(LINES)))
    ours, theirs = map(float, widths)
    assert round(theirs / ours, 1) == 10.0


def test_what_has_no_figures_of_two_sides_is_told(tmp_path: Path) -> None:
    figures = tmp_path / "start.jsonl"
    figures.write_text('{"case": "start", "cpu_s": 2.0}\n')
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(figures), str(tmp_path / "picture.svg")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "give what `path` or `peers` printed" in done.stderr
