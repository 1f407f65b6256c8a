"""An environment of its own for a peer, made when it is first needed."""

import subprocess
import sys
from pathlib import Path

FLEXLLM = "flexllm==0.17.10"
_FOLDER = Path(__file__).parents[1] / ".peers" / "flexllm"


def make_peer() -> tuple[Path | None, str]:
    """Return the Python that has flexllm; or None, and why there is none."""
    python = _FOLDER / "bin" / "python"
    if _has_it(python):
        return python, ""
    steps = (
        [sys.executable, "-m", "venv", "--without-pip", str(_FOLDER)],
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", FLEXLLM],
    )
    instead = ["uv", "pip", "install", "--quiet", "--python", str(python), FLEXLLM]
    for step, other in ((steps[0], None), (steps[1], instead)):
        if not _succeeds(step) and (other is None or not _succeeds(other)):
            return None, f"{FLEXLLM} could not be installed: {' '.join(step)} failed"
    return python, ""


def _has_it(python: Path) -> bool:
    return python.exists() and _succeeds([str(python), "-c", "import flexllm"])


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
