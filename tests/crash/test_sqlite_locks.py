"""SQLite's locks are the process's: closing any other descriptor of the file gives them all back.

https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks canceled by a separate thread"
"""

import subprocess
import sys
from pathlib import Path

from promptmill.schema.database import Database

VISIT = """
import sqlite3, sys
visitor = sqlite3.connect(sys.argv[1], isolation_level=None)
visitor.execute("insert into t values (2)")
visitor.close()
"""


def test_opening_the_database_again_keeps_the_lock_on_it(tmp_path: Path) -> None:
    path = tmp_path / "promptmill.db"
    first = Database(f"sqlite:///{path}")
    with first.write() as connection:
        connection.exec_driver_sql("create table t (n integer)")
    second = Database(f"sqlite:///{path}")
    # Who leaves last removes the log, with what others have still to write into it.
    subprocess.run([sys.executable, "-S", "-c", VISIT, str(path)], check=True)
    assert path.with_name("promptmill.db-wal").exists()
    with first.write() as connection:
        connection.exec_driver_sql("insert into t values (3)")
    with second.read() as connection:
        found = connection.exec_driver_sql("select n from t order by n").scalars().all()
    assert found == [2, 3]
    second.close()
    first.close()
