"""The examples of docs/python.md run as they are, beside a worker that answers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from promptmill.producer import submit
from tests.schema.scene import Scene
from tests.submit.inputs import answer, claim_all, write_lines

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_examples_of_the_page_run(scene: Scene) -> None:
    source = write_lines(Path("reviews.jsonl"), *({"id": f"r{n}", "text": "…"} for n in (1, 2)))
    batch = submit(source, model="gpt-4o-mini", prompt="Sentiment of: {{ text }}")
    for job in claim_all(scene, batch.id).items():
        answer(scene, *job, text="good")
    program = "\n".join(EXAMPLES)
    command = [sys.executable, "-W", "error", "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.stderr == ""
    lines = said.stdout.splitlines()
    assert lines[:2] == lines[2:4] == ["r1 good", "r2 good"]
    assert lines[4:] == ["2 answered", "0.003", "0 failed"]
    assert len(EXAMPLES) == 3
