"""The files of a batch's answers, on this machine, when the batch is pruned."""

from contextlib import suppress
from pathlib import Path

from promptmill.schema.answers import files_in_use
from promptmill.schema.database import Database


def remove_files(database: Database, folder: Path) -> None:
    """Remove the files in *folder*, but those that answers of other batches share."""
    paths = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if not paths:
        return
    with database.read() as connection:
        shared = files_in_use(connection, map(str, paths))
    for path in paths:
        if str(path) not in shared:
            path.unlink(missing_ok=True)
    with suppress(OSError):  # what is shared is still there
        folder.rmdir()
