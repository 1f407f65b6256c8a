"""schemathesis over the gateway's own description of itself, in an environment of its own.

Its release of jsonschema-rs is not ours, so it cannot be where the tests are.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

REQUIREMENT: Final = "schemathesis==4.32.5"
_SEED: Final = 8
_SHARE: Final = 0.7
"""of all values for a field are those that are known; the others are made up"""


def fuzz(
    python: Path,
    url: str,
    key: str,
    *,
    known: Mapping[str, Sequence[str]],
    examples: int,
    folder: Path,
) -> dict[str, Any]:
    """Ask the server for all that it describes; return schemathesis' report.

    *known*: values that lead somewhere, by the parameter, such as `path.file_id`.
    """
    (folder / "schemathesis.toml").write_text("\n".join(_configured(known)))
    command = [str(python), "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
    command += ["-H", f"Authorization: Bearer {key}", "--checks", "not_a_server_error"]
    command += ["--max-examples", f"{examples}", "--seed", f"{_SEED}", "--continue-on-failure"]
    command += ["--request-timeout", "120"]
    command += ["--report", "json", "--report-json-path", "report.json", "--no-color"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    report = folder / "report.json"
    if not report.exists():
        msg = f"schemathesis said nothing of what it found: {done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    told: dict[str, Any] = json.loads(report.read_text())
    return told


def _configured(known: Mapping[str, Sequence[str]]) -> list[str]:
    lines = []
    for number, values in enumerate(known.values()):
        lines += [f"[dictionaries.known{number}]", f"values = {json.dumps(list(values))}"]
    lines += ["[parameters]"]
    for number, name in enumerate(known):
        lines.append(f'"{name}" = {{ dictionary = "known{number}", probability = {_SHARE} }}')
    return lines
