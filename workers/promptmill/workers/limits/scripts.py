"""The Lua scripts, read from the files beside this one."""

from functools import cache
from importlib.resources import files

SHARED = ("state", "pace", "bookings")
NAMES = (
    "book",
    "confirm",
    "settle",
    "cancel",
    "penalise",
    "resume",
    "observe",
    "renew",
    "level",
)


@cache
def script_text(name: str) -> str:
    """Return script *name* with the shared files before it: Redis' Lua has no `require`."""
    folder = files(__package__) / "lua"
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*SHARED, name))
