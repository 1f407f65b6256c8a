"""What only its owner may read."""

import os
from pathlib import Path

from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from promptmill.schema.private import private_folder


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_every_folder_that_was_missing_is_for_its_owner_only(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "state" / "demo" / "logs")
    assert [_mode(one) for one in (made, made.parent, made.parent.parent)] == [0o700] * 3


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    private_folder(tmp_path)
    assert _mode(tmp_path) == 0o755


def test_an_sqlite_database_and_its_log_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        database = Database(f"sqlite:///{tmp_path}/new/promptmill.db")
        upgrade(database)
        files = sorted((tmp_path / "new").iterdir())
        assert {_mode(one) for one in files} == {0o600}
        assert [one.name for one in files][:1] == ["promptmill.db"]
        database.close()
    finally:
        os.umask(before)
