"""A look at the database without SQLAlchemy: it sees the same, writes nothing, keeps secrets."""

from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.answers import failures_of, results_of
from promptmill.schema.connection import Source
from promptmill.schema.course import latencies
from promptmill.schema.errors import ServiceError
from promptmill.schema.glance import Glance
from promptmill.schema.reading import batch_counts, batch_row, batch_usage
from promptmill.schema.revisions import require_current
from promptmill.schema.settings import load_settings
from promptmill.schema.statement import Statement
from tests.schema.scene import Scene
from tests.submit.inputs import answer, refuse

_nonsense = Statement("select nothing from nowhere")
_delete = Statement("delete from jobs")


def glance_at(url: str, **settings: Any) -> Glance | None:
    return Glance.from_settings(load_settings(database_url=url, **settings), patience_s=60)


@pytest.fixture
def glance(scene: Scene) -> Glance:
    """A look at the database of the scene."""
    glance = glance_at(scene.database.url.render_as_string(hide_password=False))
    assert glance is not None
    return glance


def test_it_sees_what_sqlalchemy_sees(scene: Scene, glance: Glance) -> None:
    batch_id = scene.load(4)
    one, two, three = scene.claim(*scene.queue(batch_id, most=3)).items()
    answer(scene, *one, text="100 % “four”")
    refuse(scene, *two)
    refuse(scene, *three)
    assert seen(glance, scene, batch_id) == seen(scene.database, scene, batch_id)
    assert require_current(glance) == require_current(scene.database)
    glance.close()


def seen(source: Source, scene: Scene, batch_id: int) -> list[Any]:
    with source.read() as connection:
        return [
            batch_row(connection, batch_id),
            sorted(batch_counts(connection, batch_id), key=str),
            batch_usage(connection, batch_id),
            latencies(connection, batch_id),
            results_of(connection, scene.ids(batch_id)),
            failures_of(connection, batch_id),
        ]


def test_it_writes_nothing_and_goes_on_after_an_error(scene: Scene, glance: Glance) -> None:
    batch_id = scene.load(1)
    for refused in (_delete, _nonsense):
        with pytest.raises(ServiceError, match="the database failed: "), glance.read() as sql:
            refused.run(sql)
    with glance.read() as sql:
        assert len(batch_counts(sql, batch_id)) == 1
    glance.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:some.db?uri=true",
        "postgresql://me@/db?host=one:5432&host=two:5432",
        "postgresql://me@host/db?no_such_option=1",
        "mysql://host/db",
        "not a url",
    ],
)
def test_a_url_that_it_does_not_read_as_sqlalchemy_does_is_left_to_that(url: str) -> None:
    assert glance_at(url) is None


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me@/db?host={tmp_path}"
    glance = glance_at(url, database_password="tell-nobody")
    assert glance is not None
    with pytest.raises(ServiceError, match="cannot open the database user=me") as refused:
        glance.read().__enter__()
    assert "tell-nobody" not in str(refused.value)
