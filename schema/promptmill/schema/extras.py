"""How to install an extra of `pyproject.toml`: what most people do without."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
"""only where promptmill runs from one"""


def how_to_install(extra: str, environment: str = sys.prefix) -> str:
    """Tell the command for this *environment*: the one that `./run` makes may have no pip."""
    if Path(environment) == CHECKOUT / ".venv":
        return f"./run extra {extra}"
    return f"pip install 'promptmill[{extra}]'"
