"""CSV, TSV and text lines: recognised by what is in them, and each bad row told with its line."""

import gzip
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.producer.reading import Prompt, ReadOptions, check_input, open_input
from promptmill.producer.reading.dialect import find_dialect
from promptmill.schema.errors import InputError

Read = Callable[..., list[Prompt]]
Refuse = Callable[..., InputError]
TABLE = b'id,text\n1,"It leaks, badly."\n2,"Two\nlines, ""quoted"""\n3,fine\n'


def asked(prompt: Prompt) -> Any:
    return prompt.request["messages"][-1]["content"]


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE[:-1],
        TABLE.replace(b"\n1", b"\r\n1").replace(b"\n2", b"\r\n2").replace(b"\n3", b"\r\n3"),
        b"\xef\xbb\xbf" + TABLE,
        gzip.compress(TABLE),
        b"sep=,\r\n" + TABLE,
        TABLE.replace(b"id,text", b'"id", "text"').replace(b',"', b', "'),
    ],
    ids=["plain", "no last newline", "CRLF", "BOM", "gzip", "Excel's sep line", "spaces"],
)
@pytest.mark.parametrize("name", ["in.csv", "standard input"])
def test_a_table_is_read_however_it_is_stored(data: bytes, name: str, read: Read) -> None:
    one, two, three = read(data, name)
    assert [asked(one), asked(three)] == ["It leaks, badly.", "fine"]
    assert asked(two) == 'Two\nlines, "quoted"'
    assert [one.custom_id, two.custom_id, three.custom_id] == ["1", "2", "3"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_told_by_the_content(delimiter: str, read: Read) -> None:
    rows = [["id", "stars", "text"], ["a", "1", "Bad, sad"], ["b", "5", "Oh; no|never"]]
    quoted = [[f'"{cell}"' if " " in cell else cell for cell in row] for row in rows]
    data = "\n".join(delimiter.join(row) for row in quoted).encode()
    first, second = read(data, "table", template="{stars}: {text}")
    assert (asked(first), asked(second)) == ("1: Bad, sad", "5: Oh; no|never")


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=2),
        min_size=1,
    )
)
def test_no_text_makes_the_search_for_a_dialect_fail(rows: list[list[str]]) -> None:
    find_dialect("\n".join(",".join(row) for row in rows).encode())


@pytest.mark.parametrize(
    "lines",
    [
        [b"Hello, how are you?", b"Name one city, and its river.", b"Count to ten."],
        [b"[INST] Sum up [/INST]", b"{name} is a word. Which kind?"],
        [b"2+2?", b"3+3?"],
    ],
)
def test_text_is_one_prompt_a_line(lines: list[bytes], read: Read) -> None:
    prompts = read(b"\n\n".join(lines) + b"\r\n", "prompts")
    assert [asked(prompt).encode() for prompt in prompts] == lines
    assert [prompt.custom_id for prompt in prompts][:2] == ["line-1", "line-3"]


def test_lines_may_be_filled_into_a_template(read: Read) -> None:
    (prompt,) = read(b"Paris\n", "cities", template="Where is {text}?", system="On {{ text }}.")
    assert prompt.request["messages"][0]["content"] == "On Paris."
    assert asked(prompt) == "Where is Paris?"


def test_a_table_of_one_column_is_known_by_its_name_or_by_format(read: Read) -> None:
    data = b'text\n"one, two"\n\n"three"\n'
    assert [asked(one) for one in read(data, "in.csv")] == ["one, two", "three"]
    assert [asked(one) for one in read(data, "in", format="csv")] == ["one, two", "three"]
    assert len(read(data, "in.txt")) == 3


def test_the_name_of_a_file_does_not_hide_what_is_in_it(read: Read) -> None:
    assert [asked(one) for one in read(b'{"text": "a"}\n', "rows.csv")] == ["a"]


def test_cells_are_text_and_are_made_numbers_in_the_template(read: Read, refused: Refuse) -> None:
    data = b"text,stars,zip\nbad,2,00501\nfine,,10001\n"
    first, second = read(
        data, "in.csv", template="{% if stars|int < 3 %}Low {{ zip }}{% else %}-{% endif %}"
    )
    assert (asked(first), asked(second)) == ("Low 00501", "Low 10001")
    error = refused(data, "in.csv", template="{% if stars < 3 %}{{ text }}{% endif %}")
    assert "{{ column | int }}" in error.fix


BAD: dict[str, tuple[bytes, int, str, str]] = {
    "too many cells": (b"id,text\n1,a\n2,b, c\n", 3, "the row has 3 cells", "in quotes"),
    "too few cells": (b"id,text\n1,a\n2\n", 3, "has 1 cell, and the header has 2", "columns: "),
    "after two lines": (b'id,text\n1,"a\nb"\n2\n', 4, "has 1 cell", "columns: 'id', 'text'"),
    "text after a quote": (b'id,text\n1,"a" b\n', 2, "after a closing quote", "double the quotes"),
    "an open quote": (b'id,text\n1,"a\n2,b\n', 2, "closed nowhere", "close it"),
    "a name twice": (b"id,text,text\n1,a,b\n", 1, "two columns are named 'text'", "its own"),
    "no name": (b",text\n0,a\n", 1, "column 1 has no name", "index=False"),
    "no rows": (b"id,text\n\n", 1, "no row follows", "--format text"),
    "no header": (b"1,2\n3,4\n", 1, "numbers, not names", "on top"),
    "a NUL": (b"id,text\n" + b"1,a\n" * 20_000 + b"2,b\0\n", 20002, "is a NUL", "remove"),
    "Latin-1": (b"id,text\n1,caf\xe9\n", 2, "byte 6 of the line is not UTF-8", "iconv"),
    "old Mac": (b"id,text\r1,a\r2,b\r", 1, "a carriage return alone", "tr "),
    "an unknown column": (b"id,txt\n1,a\n", 2, "asks for the column 'text'", "is it 'txt'? use"),
    "an empty cell": (b"id,text\n1,\n", 2, "the prompt is empty", "fill the row"),
    "a wrong delimiter": (b"id^text\n1^a\n", 2, "asks for the column 'text'", "'id^text'"),
    "an id twice over": (b"id,text\n1\x85,a\n", 2, "not UTF-8", "iconv"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_told_with_line_and_remedy(name: str, refused: Refuse) -> None:
    data, line, problem, fix = BAD[name]
    error = refused(data, "in.csv", template="{{ text }}")
    assert error.line == line
    assert problem in error.problem
    assert fix in error.fix


def test_a_quote_that_swallows_the_rest_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    with path.open("wb") as file:
        file.write(b'id,text\n1,"open\n')
        for _ in range(60):
            file.write(b"2,some words\n" * 80_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="longer than 1,048,576"), open_input(path, tmp_path) as at:
        check_input(at, ReadOptions(max_line_bytes=1 << 20, max_errors=1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024
    path.unlink()


def test_a_line_that_never_ends_is_refused_in_a_table_too(refused: Refuse) -> None:
    error = refused(b"id,text\n1," + b"x" * 3000, "in.csv", max_line_bytes=2000)
    assert "line 2: the line is longer than 2,000 bytes" in str(error)


def test_what_a_file_was_taken_for_is_told(tmp_path: Path) -> None:
    kinds = {"a;b\n1;2\n": "CSV divided by semicolons", "Why?\n": "text lines"}
    for text, told in kinds.items():
        (tmp_path / "in").write_text(text)
        with open_input(tmp_path / "in", tmp_path) as source:
            assert (
                check_input(source, ReadOptions(template=None if "?" in text else "{a}")).kind
                == told
            )
