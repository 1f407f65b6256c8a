"""Equal prompts are asked once where that is wanted, and each ends as the one that was asked."""

from dataclasses import astuple, replace
from pathlib import Path

import pytest

from promptmill.producer import control
from promptmill.producer.dispatching.twins import TwinEnder
from promptmill.producer.submitting.submission import submit
from promptmill.schema.answers import results_of
from promptmill.schema.database import Database
from promptmill.schema.moves.endings import StoredFile, StoredResult, finish
from promptmill.schema.settings import Settings
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWERED, Scene
from tests.submit.inputs import answer, asking, batch_line, claim_all, refuse, write_lines

TEXTS = ("a", "b", "a", "a", "c", "b")


class Twins:
    """A batch of six prompts, of which three are asked."""

    def __init__(self, database: Database, settings: Settings, folder: Path, scene: Scene) -> None:
        lines = [
            batch_line(f"r{n}", messages=[{"role": "user", "content": text}])
            for n, text in enumerate(TEXTS, 1)
        ]
        self.source = write_lines(folder / "in.jsonl", *lines)
        request = replace(asking(self.source), dedupe=True)
        self.submitted = submit(database, request, settings)
        self.scene, self.database = scene, database
        self._now = 0.0
        self._ender = TwinEnder(database, clock=lambda: self._now)

    def end(self) -> int:
        self._now += 10
        return self._ender.turn()

    def states(self) -> list[str]:
        rows = self.scene.sql("select custom_id, state from jobs order by id")
        return [JobState(row.state).word for row in rows]

    def ask(self) -> dict[int, int]:
        return claim_all(self.scene, self.submitted.batch_id)


@pytest.fixture
def twins(database: Database, settings: Settings, tmp_path: Path, scene: Scene) -> Twins:
    return Twins(database, settings, tmp_path, scene)


def test_equal_prompts_wait_for_the_first_of_them(twins: Twins) -> None:
    assert twins.submitted.twins == 3
    assert twins.states() == ["pending", "pending", "waiting", "waiting", "pending", "waiting"]
    twins.scene.assert_sums()
    assert len(twins.ask()) == 3
    assert twins.end() == 0


def test_a_twin_has_the_answer_of_the_first_and_costs_nothing(twins: Twins) -> None:
    fences = twins.ask()
    first, *others = sorted(fences)
    answer(twins.scene, first, fences[first], "yes")
    assert twins.end() == 2
    assert twins.end() == 0
    for other in others:
        answer(twins.scene, other, fences[other], "no")
    assert twins.end() == 1
    rows = twins.scene.sql(
        "select custom_id, text, cost_usd, twin_of from promptmill_results order by position"
    )
    texts = ["yes", "no", "yes", "yes", "no", "no"]
    assert [(row.custom_id, row.text) for row in rows] == [
        (f"r{n}", text) for n, text in enumerate(texts, 1)
    ]
    paid = [row for row in rows if row.twin_of is None]
    assert [row.cost_usd for row in rows if row.twin_of is not None] == [0, 0, 0]
    (usage,) = twins.scene.sql("select calls, cost_usd from promptmill_usage_by_model")
    assert usage.calls == len(paid) == 3
    assert usage.cost_usd == pytest.approx(sum(row.cost_usd for row in paid))
    twins.scene.assert_sums()


def test_a_twin_of_what_failed_fails_with_its_error_and_both_are_retried_as_one_call(
    twins: Twins,
) -> None:
    fences = twins.ask()
    first = min(fences)
    refuse(twins.scene, first, fences[first])
    assert twins.end() == 2
    failures = twins.scene.sql("select custom_id, error_code from promptmill_failures")
    assert len(failures) == 3
    assert len({row.error_code for row in failures}) == 1
    assert control.retry(twins.database, twins.submitted.batch_id) == 3
    assert twins.states()[0] == "pending"
    assert twins.states()[2:4] == ["waiting", "waiting"]
    again = twins.ask()
    assert list(again) == [first]
    answer(twins.scene, first, again[first])
    assert twins.end() == 2
    assert twins.states()[:1] == twins.states()[2:3] == ["succeeded"]
    twins.scene.assert_sums()


def test_a_cancelled_batch_cancels_its_twins(twins: Twins) -> None:
    control.cancel(twins.database, twins.submitted.batch_id)
    assert set(twins.states()) == {"cancelled"}
    assert twins.end() == 0


def test_without_being_asked_to_nobody_makes_twins(
    twins: Twins, database: Database, settings: Settings
) -> None:
    plain = submit(database, asking(twins.source), settings)
    assert plain.batch_id != twins.submitted.batch_id
    assert plain.twins == 0


def test_a_twin_has_the_body_and_the_files_of_the_first(twins: Twins) -> None:
    fences = twins.ask()
    first = min(fences)
    file = StoredFile(0, "image/png", 67, "ab" * 32, "1-0.png")
    drawn = StoredResult(None, "stop", endpoint="images", body='{"data": []}', files=(file,))
    twins.scene.close(finish(first, fences[first], ANSWERED, drawn))
    twins.end()
    with twins.database.read() as connection:
        found = results_of(connection, twins.scene.ids(twins.submitted.batch_id))
    ended = [one for one in found if one.state == "succeeded"]
    assert [(one.custom_id, one.body, one.files) for one in ended] == [
        (custom_id, {"data": []}, (astuple(file),)) for custom_id in ("r1", "r3", "r4")
    ]
