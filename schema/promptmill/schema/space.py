"""Give room in SQLite's file back to the disk, a little at a time; PostgreSQL sees to it itself."""

from promptmill.schema.database import Database

STEP_PAGES = 500
"""2 MB: some milliseconds of SQLite's only writer"""
_INCREMENTAL = 2


def free_bytes(database: Database) -> int:
    """Tell how much of SQLite's file is free; 0 for PostgreSQL."""
    if database.dialect != "sqlite":
        return 0
    return _pragma(database, "freelist_count") * _pragma(database, "page_size")


def can_give_back(database: Database) -> bool:
    """Tell whether the file was made so that free pages can leave it while it is used."""
    return database.dialect == "sqlite" and _pragma(database, "auto_vacuum") == _INCREMENTAL


def give_back(database: Database) -> bool:
    """Give a step's worth of free pages back; False when there is nothing to give."""
    if not can_give_back(database) or not _pragma(database, "freelist_count"):
        return False
    with database.write() as connection:
        # A row a page: it is done as far as it is read.
        list(connection.connection.cursor().execute(f"pragma incremental_vacuum({STEP_PAGES})"))
    return True


def _pragma(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql(f"pragma {name}").scalar_one())
