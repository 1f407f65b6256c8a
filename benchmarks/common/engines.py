"""Databases of both engines for a benchmark, empty and gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from promptmill.schema.database import Database
from tests.services.postgres import Postgres

ENGINES = ("sqlite", "postgres")


@contextmanager
def server_of(engine: str) -> Iterator[Postgres | None]:
    """Run a PostgreSQL for as long as the block lasts; SQLite needs none."""
    if engine == "sqlite":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        Path(folder).chmod(0o711)  # the server, not run as root, must reach its own part of it
        with Postgres(Path(folder) / "pg") as server:
            yield server


@contextmanager
def empty_database(server: Postgres | None) -> Iterator[Database]:
    """Make an empty database: of *server*, or a file of SQLite."""
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        name = server.create_database() if server else ""
        url = server.url(name) if server else f"sqlite:///{folder}/promptmill.db"
        database = Database(url)
        try:
            yield database
        finally:
            database.close()
            if server:
                server.drop_database(name)
