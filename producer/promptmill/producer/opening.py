"""Open the database for people: with errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from promptmill.schema.connection import Source
from promptmill.schema.errors import ContractError, ServiceError, UsageError
from promptmill.schema.failure import failure
from promptmill.schema.glance import Glance
from promptmill.schema.reading import latest_batches
from promptmill.schema.revisions import require_current
from promptmill.schema.sessions import CACHE_BYTES
from promptmill.schema.settings import Settings

if TYPE_CHECKING:
    from promptmill.schema.database import Database

PATIENCE_S = 120.0
"""for a statement of ours, the longest of which opens a batch of ten million rows"""


@contextmanager
def opened(
    settings: Settings,
    *,
    create: bool = False,
    patience_s: float = PATIENCE_S,
    cache_bytes: int = CACHE_BYTES,
) -> Iterator["Database"]:
    """Open the database at this release's revision; *create* makes or upgrades an SQLite one.

    *patience_s*: how long PostgreSQL may say nothing before it is given up. *cache_bytes*: of pages
    that each connection to SQLite keeps.

    Raises UsageError where there is none yet, ContractError for another revision, and ServiceError
    where SQL fails, then or within the block.
    """
    if not create:
        _require_one(settings)
    # With SQLAlchemy, which takes longer to import than what is `glanced` at takes to answer.
    from promptmill.schema.database import Database, DatabaseError, first_line  # noqa: PLC0415

    database = Database.from_settings(settings, patience_s=patience_s, cache_bytes=cache_bytes)
    try:
        _bring_up(database, create=create)
        yield database
    except DatabaseError as error:
        msg = failure(first_line(error), database.file)
        raise ServiceError(msg) from None
    finally:
        database.close()


@contextmanager
def glanced(settings: Settings) -> Iterator[Source]:
    """Open the database for a command that reads a little and ends. Raises as `opened` does."""
    _require_one(settings)
    glance = Glance.from_settings(settings, patience_s=PATIENCE_S)
    if glance is None:
        with opened(settings) as database:
            yield database
        return
    try:
        require_current(glance)
        yield glance
    finally:
        glance.close()


def exists(settings: Settings) -> bool:
    """Say whether there is an SQLite file, or a server is named."""
    url = settings.sql_url
    if not url.startswith("sqlite"):
        return True
    path = url.partition("///")[2].partition("?")[0]
    return Path(path).exists()


def batch_or_latest(database: Source, batch_id: int | None) -> int:
    """Return *batch_id*, or the id of the latest batch. Raises UsageError where there is none."""
    if batch_id is not None:
        return batch_id
    with database.read() as connection:
        latest = latest_batches(connection, most=1)
    if not latest:
        msg = "there is no batch yet: `promptmill submit INPUT -m MODEL` makes one"
        raise UsageError(msg)
    return latest[0].id


def _require_one(settings: Settings) -> None:
    if not exists(settings):
        msg = (
            f"nothing was submitted yet in {settings.state_dir.absolute()}:"
            " `promptmill submit INPUT -m MODEL` makes the database"
        )
        raise UsageError(msg)


def _bring_up(database: "Database", *, create: bool) -> None:
    """Check the revision. One laptop's SQLite is upgraded; a server's database is not ours to."""
    try:
        require_current(database)
    except ContractError:
        if not create or database.dialect != "sqlite":
            raise
        # Alembic takes longer to import than most commands take to answer.
        from promptmill.schema.migrate import upgrade  # noqa: PLC0415

        upgrade(database)
