"""The workers' app on a disk that is full for as long as the file $FULL_DISK exists.

SQLite itself refuses: each transaction begins with the database allowed not one page more.
"""

import os
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from promptmill.workers import app

__all__ = ["app"]

_FULL = Path(os.environ["FULL_DISK"])


@event.listens_for(Engine, "begin")
def bound_the_file(connection: Connection) -> None:
    most = 1 if _FULL.exists() else 2**30
    connection.exec_driver_sql(f"pragma max_page_count = {most}").close()
