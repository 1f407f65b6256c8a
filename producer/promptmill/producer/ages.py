"""How old something may be, as people write it: 30m, 12h, 30d, 8w."""

import re

from promptmill.schema.errors import UsageError

AGE = re.compile(r"([0-9]{1,5})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_age(text: str, option: str) -> int:
    """Read an age into seconds. Raises UsageError, which names *option*."""
    found = AGE.fullmatch(text)
    if found is None:
        msg = f"{option} {text!r} is no age: write 12h, 30d or 8w"
        raise UsageError(msg)
    return int(found[1]) * _SECONDS[found[2]]
