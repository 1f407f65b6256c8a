"""An SQLite file that fails is named, with what to do, whichever way it is opened."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from promptmill.producer.opening import glanced, opened
from promptmill.schema.connection import Source
from promptmill.schema.errors import ServiceError
from promptmill.schema.failure import failure
from promptmill.schema.revisions import require_current
from promptmill.schema.settings import Settings, load_settings

Open = Callable[[Settings], AbstractContextManager[Source]]


def text(path: Path) -> None:
    path.write_text("These are my notes, and not a table in sight.\n" * 100, encoding="utf-8")


def damaged(path: Path) -> None:
    with opened(load_settings(database_url=f"sqlite:///{path}"), create=True):
        pass
    pages = bytearray(path.read_bytes())
    pages[100:4096] = bytes(3996)
    path.write_bytes(pages)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("open_it", [opened, glanced])
@pytest.mark.parametrize(
    ("spoil", "said", "to_do"),
    [
        (text, "file is not a database", "move it away, or name another folder"),
        (damaged, "database disk image is malformed", "put a backup in its place"),
        (folder, "unable to open database file", "have to be there"),
    ],
)
def test_it_is_named_with_what_to_do(
    open_it: Open, spoil: Callable[[Path], None], said: str, to_do: str, tmp_path: Path
) -> None:
    path = tmp_path / "mill.db"
    spoil(path)
    settings = load_settings(database_url=f"sqlite:///{path}")
    with pytest.raises(ServiceError) as told, open_it(settings) as database:
        require_current(database)
    first, second = str(told.value).splitlines()
    assert first == f"the database failed: {said}"
    assert second.startswith(f"  {path}: ")
    assert to_do in second


def test_words_that_are_not_known_come_with_the_file_and_those_of_a_server_alone() -> None:
    assert failure("it hurts", "/my.db") == "the database failed: it hurts\n  /my.db"
    assert failure("it hurts", None) == "the database failed: it hurts"
