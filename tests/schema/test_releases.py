"""A database is upgraded while an earlier release works on it: nothing of that is lost or refused.

For every file in `earlier`, and so for every revision that comes after it.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema import revisions
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from tests.schema.earlier import FOLDER, heard, make, rows, say
from tests.schema.scene import assert_sums

EARLIER = sorted(FOLDER.glob("*.json"))
REVISIONS = sorted((revisions.FOLDER / "versions").glob("[0-9]*.py"))
SMALL = "batches|workers|pauses|limits|leaders|revisions"
"""tables of some thousand rows at most"""


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.stem)
def test_what_an_earlier_release_has_begun_it_goes_on_with_after_the_upgrade(
    path: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    revision, engine = path.stem.split("-")
    url = f"sqlite:///{tmp_path / 'promptmill.db'}"
    database = Database(url if engine == "sqlite" else request.getfixturevalue("postgres_url"))
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    with database.write() as connection:
        make(connection, revision, told["made"])
        say(connection, told["before"])
    upgrade(database)
    with database.write() as connection:
        works_from = connection.exec_driver_sql(
            "select max(works_from) from revisions"
        ).scalar_one()
        assert works_from <= revision, f"{path.name} must not go on: remove it"
        say(connection, told["after"])
        assert rows(connection, told["columns"]) == told["ends"]
        assert_sums(connection)
    database.close()


def test_there_is_an_earlier_release_of_both_engines_to_test_against() -> None:
    assert {path.stem.split("-")[1] for path in EARLIER} == {"sqlite", "postgresql"}


@pytest.mark.parametrize("path", REVISIONS[3:], ids=lambda path: path.stem)
def test_a_revision_only_adds_and_keeps_nobody_from_a_large_table(
    path: Path, database_url: str
) -> None:
    """What changes or reads all rows of a large table would hold its lock for minutes."""
    database = Database(database_url)
    before = f"{int(path.stem[:4]) - 1:04}"
    with database.write() as connection:
        make(connection, before, [])
    with heard(database) as said, database.write() as connection:
        make(connection, path.stem[:4], [])
    database.close()
    statements = [" ".join(statement.lower().split()) for statement, _ in said]
    new = {found[1] for one in statements if (found := re.match(r"create table (\w+)", one))}
    for statement in statements:
        assert is_harmless(statement, new), f"{path.name}: {statement}"


def is_harmless(statement: str, new: set[str]) -> bool:
    """Tell whether *statement* reads, adds, or touches small and *new* tables only."""
    if statement.startswith(("select", "update alembic_version", "show", "create table")):
        return True
    if found := re.match(r"alter table (\w+) add column (.*)", statement):
        # A column with a constant default needs no rewrite on either engine.
        return "not null" not in found[2] or " default " in found[2]
    if found := re.match(r"create (?:unique )?index \w+ on (\w+)", statement):
        return found[1] in new
    found = re.match(r"(?:update|insert into|delete from) (\w+)", statement)
    return found is not None and bool(found[1] in new or re.fullmatch(SMALL, found[1]))


@pytest.mark.parametrize(
    ("statement", "harmless"),
    [
        ("alter table jobs add column shard bigint", True),
        ("alter table jobs add column shard bigint default 0 not null", True),
        ("alter table jobs add column shard bigint not null", False),
        ("create index jobs_shard on jobs (shard)", False),
        ("create index fresh_a on fresh (a)", True),
        ("update jobs set shard = 0", False),
        ("update batches set priority = 0", True),
        ("alter table jobs alter column shard set not null", False),
        ("drop table limits", False),
    ],
)
def test_what_a_revision_may_do(statement: str, harmless: bool) -> None:
    assert is_harmless(statement, {"fresh"}) is harmless
