"""An environment of its own for a peer, made when it is first needed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / ".peers"
_SAY_VERSION = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"


def make_environment(requirement: str) -> tuple[Path | None, str]:
    """Return the Python that has *requirement* (`name==version`); or None, and why not."""
    name, _, version = requirement.partition("==")
    package = re.split(r"[\[ ]", name)[0]
    folder = _FOLDER / package
    python = folder / "bin" / "python"
    if python.exists() and _said([str(python), "-c", _SAY_VERSION, package]) == version:
        return python, ""
    make = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", requirement]
    uv = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    if _said(make) is None or (_said(pip) is None and _said([*uv, requirement]) is None):
        shutil.rmtree(folder, ignore_errors=True)
        return None, f"{requirement} could not be installed: {' '.join(pip)} failed, and so did uv"
    return python, ""


def _said(command: list[str]) -> str | None:
    """Return what *command* said; None where it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
