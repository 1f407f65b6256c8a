"""The Lua scripts, read from the files beside this one."""

from functools import cache
from importlib.resources import files

PARTS = {
    "book": ("state", "pace", "bookings"),
    "confirm": ("state", "pace", "bookings"),
    "settle": ("state", "pace", "bookings"),
    "cancel": ("state", "pace", "bookings"),
    "penalise": ("state", "pace"),
    "resume": ("state",),
    "observe": ("state",),
    "renew": ("state", "pace", "bookings"),
    "level": ("state", "pace"),
}
"""Each script, and the shared files that it is put behind: Redis' Lua has no `require`."""


@cache
def script_text(name: str) -> str:
    """Return script *name* with the shared files before it."""
    folder = files(__package__) / "lua"
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*PARTS[name], name))
