"""The Lua scripts, put together from the files beside this one: Redis' Lua has no `require`.

Redis runs the whole text of a script at each call. So a shared file is included where it is needed,
and constants are put in as numbers: a function that uses a local of the text around it is made anew
at each call, at a price for each such local.
"""

import re
from functools import cache
from importlib.resources import files

from promptmill.schema.limit_state import places

NAMES = (
    "seed",
    "book",
    "confirm",
    "settle",
    "cancel",
    "penalise",
    "observe",
    "renew",
    "resume",
)
_INCLUDE = re.compile(r"^ *-- include (\w+\.lua)$", re.MULTILINE)
_CONSTANTS = re.compile(r"^ *local ([A-Z_, ]+) = ([\d., e-]+?) *(?:--.*)?$", re.MULTILINE)
_COMMENT = re.compile(r"\s*--.*$", re.MULTILINE)
_NAME = re.compile(r"\b[A-Z][A-Z_]+\b")


@cache
def script_text(name: str) -> str:
    """Return script *name*, complete."""
    text = _INCLUDE.sub(lambda line: _read(line[1]), _read(f"{name}.lua"))
    known = {place: str(number) for place, number in places().items()}
    known |= {f"FORMAT_{part}": "<" + "d" * places()[part] for part in ("HOT", "HEAD", "SIZE")}
    for names, values in _CONSTANTS.findall(text):
        known |= zip(names.split(", "), values.split(", "), strict=True)
    code = _COMMENT.sub("", _CONSTANTS.sub("", text))
    return _NAME.sub(lambda match: known.get(match[0], match[0]), code)


def _read(file: str) -> str:
    return (files(__package__) / "lua" / file).read_text("utf-8")
