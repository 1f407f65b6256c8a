"""The columns of a row, as messages name them."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

_SHOWN_COLUMNS = 12


def choice_of(row: Mapping[str, Any], missing: str) -> str:
    """Say which columns there are in place of *missing*, the one most like it first."""
    near = get_close_matches(missing.lower(), {name.lower() for name in row}, n=1)
    like = [name for name in row if name.lower() in near]
    return f"{f'is it {like[0][:60]!r}? ' if like else ''}use one of {listed(row)}"


def listed(row: Mapping[str, Any]) -> str:
    """List the columns there are, for a message."""
    names = [repr(name[:60]) for name in list(row)[:_SHOWN_COLUMNS]]
    more = len(row) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
