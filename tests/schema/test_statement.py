"""One SQL text, both engines: values come back as they went in."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from promptmill.schema.database import Database
from promptmill.schema.instants import iso, known_instant, parse_instant
from promptmill.schema.statement import Column, RowSet, Statement
from tests.schema.scene import START, Clock

THINGS = RowSet(
    "things",
    (
        Column("id", "bigint"),
        Column("word", "text"),
        Column("share", "double precision"),
        Column("small", "smallint"),
    ),
)
ECHO = Statement("select things.id, things.word, things.share, things.small from {things}", THINGS)

TEXTS = [
    "",
    'it\'s "quoted" \\ and `ticked`',
    "100 % of %s and %(name)s",
    ":name {now} {things} ::json",
    "naïve 日本語 🦀 \u202e",
    "tab\tnew\nline",
    "null",
    '{"a": [1, 2]}',
    "x" * 100_000,
    None,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text)[:20])
def test_texts_come_back_as_they_went(database: Database, text: str | None) -> None:
    single = Statement("select cast(:word as text)")
    with database.read() as connection:
        assert single.fetch(connection, word=text)[0][0] == text
        assert ECHO.fetch(connection, {"things": [(1, text, None, None)]})[0][1] == text


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), None])
def test_64_bit_numbers_come_back_exactly(database: Database, number: int | None) -> None:
    with database.read() as connection:
        (row,) = ECHO.fetch(connection, {"things": [(number, "", 0.5, 1)]})
        assert row[0] == number


def test_a_set_may_mix_small_and_large_numbers_and_nothing(database: Database) -> None:
    rows: list[tuple[Any, ...]] = [
        (1, "a", 1, 1),
        (2**40, None, 2.25, None),
        (None, "b", None, -5),
    ]
    with database.read() as connection:
        found = {tuple(row) for row in ECHO.fetch(connection, {"things": rows})}
    assert found == set(rows)


def test_an_empty_set_joins_nothing(database: Database) -> None:
    with database.read() as connection:
        assert ECHO.fetch(connection, {"things": []}) == []


def test_two_sets_in_one_statement_do_not_mix(database: Database) -> None:
    others = RowSet("others", (Column("id", "bigint"), Column("word", "text")))
    both = Statement(
        "select things.word, others.word from {things} join {others} on others.id = things.id",
        THINGS,
        others,
    )
    with database.read() as connection:
        rows: dict[str, list[tuple[Any, ...]]] = {
            "things": [(1, "a", 0, 0), (2, "b", 0, 0)],
            "others": [(2, "c")],
        }
        assert [tuple(row) for row in both.fetch(connection, rows)] == [("b", "c")]


def test_a_percent_sign_in_the_text_of_a_statement_is_itself(database: Database) -> None:
    with database.read() as connection:
        found = Statement("select '50%', :a || '%', 7 % 4").fetch(connection, a="100")
        assert tuple(found[0]) == ("50%", "100%", 3)


def test_json_is_kept_as_it_came(database: Database) -> None:
    body = '{"b":1.10, "a": 12345678901234567890, "t": "it\'s % :x é"}'
    store = Statement(
        "insert into batches (name, state, identity, input_name, options, created_at)"
        " values ('n', 'loading', 'i', 'f', {json::body}, {now})"
    )
    kept = "options" if database.dialect == "sqlite" else "options::text"
    with database.write() as connection:
        assert store.run(connection, body=body) == 1
        row = connection.exec_driver_sql(f"select {kept} from batches").one()
    assert row[0] == body
    assert json.loads(row[0])["b"] == 1.1


def test_time_is_the_servers_unless_a_clock_is_injected(database: Database) -> None:
    now = Statement("select {now}, {after::seconds}")
    with database.read() as connection:
        row = now.fetch(connection, seconds=90.5)[0]
        stamp, later = (known_instant(value) for value in row)
    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 60
    assert (later - stamp).total_seconds() == pytest.approx(90.5, abs=0.01)

    clock = Clock()
    database.inject_clock(clock)
    with database.read() as connection:
        assert known_instant(now.fetch(connection, seconds=0.0)[0][0]) == START
        clock.advance(0.25)
        row = now.fetch(connection, seconds=-1.25)[0]
    assert [(known_instant(value) - START).total_seconds() for value in row] == [0.25, -1.0]


@pytest.mark.parametrize("seconds", [0.0, 0.001, 1e-7, 1.0, 59.9996, 86_400.0, 31_536_000.0])
def test_delays_of_every_size_are_kept_to_the_millisecond(
    database: Database, seconds: float
) -> None:
    database.inject_clock(Clock())
    with database.read() as connection:
        later = Statement("select {after::seconds}").fetch(connection, seconds=seconds)[0][0]
    passed = (known_instant(later) - START).total_seconds()
    assert passed == pytest.approx(seconds, abs=0.001)


def test_instants_are_written_so_that_text_sorts_as_time_does() -> None:
    early = datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=UTC)
    assert iso(early) == "2026-01-02T03:04:05.006Z"
    assert iso(early) < iso(early.replace(microsecond=7000)) < iso(early.replace(second=6))
    assert parse_instant(iso(early)) == early.replace(microsecond=6000)
    assert parse_instant(None) is None
    assert known_instant(early) is early
