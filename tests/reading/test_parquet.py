"""Parquet rows: typed cells in templates, some rows at a time, bad rows told by their number."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from promptmill.producer.reading import Prompt, ReadOptions, check_input, open_input, read_prompts
from promptmill.schema.errors import InputError, UsageError
from promptmill.schema.extras import how_to_install

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(columns: dict[str, Any], **options: Any) -> Path:
        path = tmp_path / "in.parquet"
        parquet.write_table(pa.table(columns), path, **options)
        return path

    return to_file


def read(path: Path, **options: Any) -> list[Prompt]:
    with open_input(path, path.parent) as source:
        return list(read_prompts(source, ReadOptions(**options)))


def asked(prompt: Prompt) -> Any:
    return prompt.request["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("cells", "printed"),
    [
        (pa.array([7]), "7"),
        (pa.array([1.5]), "1.5"),
        (pa.array([True]), "true"),
        (pa.array([dt.date(2026, 11, 22)]), "2026-11-22"),
        (pa.array([dt.datetime(2026, 11, 22, 9, 5, tzinfo=dt.UTC)]), "2026-11-22T09:05:00+00:00"),
        (
            pa.array([1_700_000_000_000_000_001], pa.timestamp("ns", "UTC")),
            "2023-11-14T22:13:20+00:00",
        ),
        (pa.array([Decimal("19.90")]), "19.90"),
        (pa.array([["a", "b"]]), '["a","b"]'),
        (pa.array([{"x": 1, "y": [dt.date(2026, 1, 2)]}]), '{"x":1,"y":["2026-01-02"]}'),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '[["k",1]]'),
        (pa.array([b"old text"]), "old text"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    ],
)
def test_every_type_of_cell_can_be_printed(cells: Any, printed: str, write: Write) -> None:
    path = write({"it": cells})
    for template in ("It: {it}", "It: {{ it }}"):
        assert asked(read(path, template=template)[0]) == f"It: {printed}"


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (pa.array([None], pa.string()), "prints a null: it"),
        (pa.array([float("nan")]), "prints a null: it"),
        (pa.array([b"\xff\xfe"]), "bytes that are no text"),
        (pa.array(["a\0b"]), "NUL"),
    ],
)
def test_a_cell_that_is_nothing_to_print_is_refused(cells: Any, problem: str, write: Write) -> None:
    with pytest.raises(InputError, match=r"in\.parquet, row 1: ") as caught:
        read(write({"it": cells}), template="It: {it}")
    assert problem in str(caught.value)
    assert "value: \"{'it'" in str(caught.value) or "NUL" in problem


def test_rows_are_told_by_number_and_named_by_it(write: Write) -> None:
    path = write({"text": ["a", "b"], "n": [1, 2]})
    assert [(p.position, p.custom_id) for p in read(path)] == [(1, "row-1"), (2, "row-2")]
    with pytest.raises(InputError, match=r"row 1: .*'txt'") as caught:
        read(path, template="{txt}")
    assert caught.value.fix.startswith("is it 'text'?")


def test_messages_may_be_a_column(write: Write) -> None:
    chat = [{"role": "user", "content": "hi"}]
    (prompt,) = read(write({"messages": [chat], "label": ["mine"]}))
    assert prompt.request == {"messages": chat}


def test_a_file_of_one_row_group_is_read_some_rows_at_a_time(write: Write) -> None:
    path = write({"text": [f"{n:0>1000}" for n in range(20_000)]}, compression="none")
    before = pa.total_allocated_bytes()
    most = 0
    with open_input(path, path.parent) as source:
        for _ in read_prompts(source, ReadOptions()):
            most = max(most, pa.total_allocated_bytes() - before)
    assert most < 6 << 20


def test_a_changed_file_is_noticed(write: Write) -> None:
    path = write({"text": ["a"]})
    with open_input(path, path.parent) as source:
        assert check_input(source, ReadOptions()).rows == 1
        write({"text": ["b"]})
        with pytest.raises(InputError, match="changed while it was read"):
            list(read_prompts(source, ReadOptions()))


def test_without_pyarrow_the_extra_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write({"text": ["a"]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=re.escape(how_to_install("parquet"))):
        read(path)


def test_a_damaged_file_is_refused(write: Write) -> None:
    path = write({"text": ["a"] * 1000})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="damaged"):
        read(path)
