"""What people are told when the database fails: of SQLite also which file it is, and what to do."""

from typing import Final

_REMEDIES: Final = {
    "database or disk is full": "make room on its disk; what is stored is kept",
    "disk I/O error": "look at its disk: it is full, read-only, or broken",
    "database is locked": "another process holds it for long (an open transaction of another"
    " tool?): end that, and type the command again",
    "attempt to write a readonly database": "it and its folder are not for this user to write",
    "unable to open database file": "it and its folder have to be there, for this user to write",
    "file is not a database": "something else is there: move it away, or name another folder by"
    " PROMPTMILL_STATE_DIR",
    "database disk image is malformed": "it is damaged: put a backup in its place, or save what can"
    " be read, by `sqlite3 FILE .recover`",
}
"""by SQLite's own words"""


def unopened(server: str, said: str) -> str:
    """Tell that *server*, named without its password, was not reached or let nobody in."""
    return (
        f"cannot open the database {server}: {said}\n"
        "  PROMPTMILL_DATABASE_URL or DATABASE_URL names it: does it run there, and know the user?"
    )


def failure(said: str, file: str | None) -> str:
    """Tell what the database *said*, and, where it is a *file*, on a second line what to do."""
    told = f"the database failed: {said}"
    if file is None:
        return told
    to_do = _REMEDIES.get(said)
    return f"{told}\n  {file}" + (f": {to_do}" if to_do else "")
