"""The command line as people use it: typed, with what it says and its exit code."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from promptmill.producer.cli.main import main

PROGRAM = [sys.executable, "-m", "promptmill.producer"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """What `--json` printed: one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def typed(*arguments: object, stdin: str = "") -> Said:
    """Run promptmill as a process of its own, in the environment of the test."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        timeout=60,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Here:
    """Runs promptmill in this process, which is five times as fast."""

    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Said:
        self.captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        out, err = self.captured.readouterr()
        return Said(code if isinstance(code, int) else 0, out, err)
