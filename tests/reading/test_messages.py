"""The worst inputs and the commonest mistakes: each message is in docs/input.md, as it is."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.reading import ReadOptions, parse_parameter
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.submission import submit
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import Settings
from tests.reading.packed import bomb

Tell = Callable[..., str]
PAGE = (Path(__file__).parents[2] / "docs" / "input.md").read_text(encoding="utf-8")
REVIEWS = b"id,review,stars\n1,fine,5\n2,bad,1\n"


WORST: dict[str, bytes] = {
    "empty.csv": b"",
    "photo.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "sheet.xlsx": b"PK\x03\x04\x14\x00",
    "excel.csv": "id,text\n1,café\n".encode("utf-16"),
    "latin1.csv": "id,text\n1,café\n".encode("latin-1"),
    "bomb.jsonl.gz": bomb(120),
    "cut.jsonl.gz": gzip.compress(b'{"text": "x"}\n' * 99)[:-9],
    "endless.jsonl": b'{"text": "' + b"x" * (17 << 20),
    "deep.jsonl": b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    "quote.csv": b'id,review\n1,"fine\n2,bad\n',
}
MISTAKES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "array.json": (b'[\n {"text": "a"}\n]\n', {}),
    "twice.jsonl": (b'{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n', {}),
    "cells.csv": (b"id,review,stars\n1,bad, very bad,1\n", {"template": "{review}"}),
    "index.csv": (b",review\n0,fine\n", {"template": "{review}"}),
    "reviews.csv 1": (REVIEWS, {"template": "{reviews}"}),
    "reviews.csv 2": (REVIEWS, {}),
    "reviews.csv 3": (REVIEWS, {"template": "{{ review"}),
    "reviews.csv 4": (REVIEWS, {"template": "{review}", "model": "gtp-4o"}),
    "reviews.csv 5": (REVIEWS, {"template": "{review}", "model": None}),
    "reviews.csv 6": (REVIEWS, {"template": "{review}", "parameters": ("temperature", "0,2")}),
    "reviews.csv 7": (REVIEWS, {"template": "{review}", "parameters": ("temprature", "0.2")}),
    "reviews.csv 8": (
        REVIEWS,
        {"template": "{review}", "parameters": ("seed", "7"), "model": "claude-haiku-4-5"},
    ),
}


@pytest.fixture
def told(sqlite_copy: str, tmp_path: Path) -> Iterator[Tell]:
    """Submit bytes as a person would, and return what is told, without the folder."""
    settings = Settings(state_dir=tmp_path / "state", database_url=sqlite_copy)
    settings.state_dir.mkdir()
    database = Database.from_settings(settings)

    def tell(name: str, data: bytes, **options: Any) -> str:
        path = tmp_path / name.partition(" ")[0]
        path.write_bytes(data)
        with pytest.raises(UsageError) as caught:
            ask(path, database, settings, options)
        return str(caught.value).replace(f"{tmp_path}/", "")

    yield tell
    database.close()


def ask(path: Path, database: Database, settings: Settings, options: dict[str, Any]) -> None:
    if "parameters" in options:
        options["parameters"] = dict([parse_parameter(*options["parameters"])])
    reading = ReadOptions(**{"model": "gpt-4o", **options})
    submit(database, SubmitRequest(source=path, reading=reading), settings)


def as_line(message: str) -> str:
    """Write it as the page does: what is wrong, then what to do."""
    problem = message.splitlines()[0].partition("; known providers")[0]
    fix = [line for line in message.splitlines() if line.startswith("  fix:")]
    cells = [problem, *(line.removeprefix("  fix:   ") for line in fix)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells)


def assert_in_page(message: str) -> None:
    assert as_line(message) in PAGE


@pytest.mark.parametrize("name", WORST)
def test_a_worst_input_is_told_as_the_page_says(name: str, told: Tell) -> None:
    assert_in_page(told(name, WORST[name]))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_common_mistake_is_told_as_the_page_says(name: str, told: Tell) -> None:
    data, options = MISTAKES[name]
    assert_in_page(told(name, data, **options))
