"""The examples that are shipped are read as docs/input.md says."""

from pathlib import Path

import pytest

from promptmill.producer.reading import ReadOptions, check_input, open_input

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "template", "rows"),
    [
        ("reviews.jsonl", None, 60),
        ("reviews.jsonl", "Sentiment of: {text}", 60),
        ("reviews.jsonl", "{% if stars < 3 %}What went wrong? {% endif %}{{ text }}", 60),
        ("reviews.csv", "{{ stars | int }}: {{ text }}", 20),
        ("batch.jsonl", None, 20),
    ],
)
def test_an_example_is_good(name: str, template: str | None, rows: int, tmp_path: Path) -> None:
    with open_input(EXAMPLES / name, tmp_path) as source:
        assert check_input(source, ReadOptions(template=template)).rows == rows


def test_the_message_in_the_docs_is_the_message(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "input.md").read_text(encoding="utf-8")
    fine = b'{"text": "ok"}\n'
    path = tmp_path / "reviews.jsonl"
    path.write_bytes(
        fine + b'{"review": "It leaks.", "stars": 1}\n' + fine * 6 + b'{"stars": 1, "stars": 2}\n'
    )
    with open_input(path, tmp_path) as source, pytest.raises(Exception, match="asks for") as caught:
        check_input(source, ReadOptions(template="{text}"))
    told = str(caught.value).replace(f"{tmp_path}/", "")
    assert "\n".join(f"    {line}" for line in told.splitlines()) in page
