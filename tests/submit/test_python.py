"""`from promptmill.producer import submit`: five lines of Python."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from promptmill.producer import Batch, api, results, submit
from promptmill.producer.submitting.given import request_of
from promptmill.producer.watching import following
from promptmill.schema.errors import InputError, UsageError
from tests.schema.scene import Scene
from tests.submit.inputs import answer, claim_all, hold_back, refuse, write_batch, write_lines


@pytest.fixture
def batch(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """A batch of five, in a database whose pages are of two."""
    monkeypatch.setattr(results, "_PAGE", 2)
    monkeypatch.setattr(following, "_PAGE", 2)
    monkeypatch.setattr(following, "_SCAN", 2)
    monkeypatch.setattr(api, "_POLL_S", 0.01)
    return submit(write_batch(tmp_path / "in.jsonl", 5))


def test_rows_are_submitted_with_a_template(scene: Scene, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", {"id": 7, "text": "so so"})
    batch = submit(source, model="gpt-4o", prompt="Good? {{ text }}", options={"temperature": 0})
    again = submit(source, model="gpt-4o", prompt="Good? {{ text }}", options={"temperature": 0})
    assert again == batch
    (job,) = scene.sql("select custom_id, cast(body as text) as body from jobs, job_payloads")
    assert job.custom_id == "7"
    assert '"temperature":0' in job.body
    assert "Good? so so" in job.body


def test_a_cache_is_asked_for_by_name() -> None:
    assert request_of(source="prompts.jsonl").cache is None
    assert request_of(source="prompts.jsonl", cache=None).cache is None  # type: ignore[arg-type]
    asked = request_of(source="prompts.jsonl", cache="12h").cache
    assert asked is not None
    assert asked.seconds == 12 * 3600


def test_a_bad_line_raises_and_stores_nothing(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1"):
        submit(write_lines(tmp_path / "in.jsonl", "{"), model="gpt-4o")
    assert scene.count("batches") == 0


def test_results_come_in_the_order_of_the_input(batch: Batch, scene: Scene) -> None:
    one, two, three, four, _ = claim_all(scene, batch.id).items()
    answer(scene, *four, text="fourth")
    refuse(scene, *two)
    answer(scene, *one, text="first")
    hold_back(scene, *three)
    found = list(batch.results())
    assert [(result.custom_id, result.state, result.text) for result in found] == [
        ("a1", "succeeded", "first"),
        ("a2", "failed", None),
        ("a3", "quarantined", None),
        ("a4", "succeeded", "fourth"),
    ]
    assert (found[0].input_tokens, found[0].output_tokens, found[0].cost_micros) == (100, 20, 1500)
    assert (found[1].error_kind, found[1].http_status) == ("request", 400)
    assert found[2].error_code == "timeout"


def test_results_of_one_batch_are_not_mixed_with_those_of_another(
    batch: Batch, scene: Scene, tmp_path: Path
) -> None:
    other = submit(write_batch(tmp_path / "in.jsonl", 5), new=True)
    for of in (other, batch):
        for number, job in enumerate(claim_all(scene, of.id).items()):
            answer(scene, *job, text=f"{of.id}-{number}")
    assert [result.text for result in batch.results()] == [f"{batch.id}-{n}" for n in range(5)]


def test_a_stream_gives_each_job_once_as_it_ends(batch: Batch, scene: Scene) -> None:
    claimed = list(claim_all(scene, batch.id).items())
    stream = batch.stream(timeout=30)
    for number in (3, 0, 4, 2, 1):
        answer(scene, *claimed[number])
        assert next(stream).custom_id == f"a{number + 1}"
    assert list(stream) == []


def test_a_stream_misses_nothing_that_ends_while_it_looks(batch: Batch, scene: Scene) -> None:
    claimed = list(claim_all(scene, batch.id).items())
    seen = Event()

    def work() -> None:
        for number in (4, 1, 3):
            answer(scene, *claimed[number])
        seen.wait(30)
        for number in (2, 0):
            refuse(scene, *claimed[number])

    worker = Thread(target=work)
    worker.start()
    ids = []
    for result in batch.stream(timeout=30):
        ids.append(result.custom_id)
        seen.set()
    worker.join()
    assert sorted(ids) == ["a1", "a2", "a3", "a4", "a5"]


def test_a_job_that_is_retried_after_it_was_given_is_not_given_again(
    batch: Batch, scene: Scene
) -> None:
    claimed = list(claim_all(scene, batch.id).items())
    stream = batch.stream(timeout=30)
    refuse(scene, *claimed[0])
    assert next(stream).state == "failed"
    scene.order("update jobs set state = 0, finished_at = null where state = 5")
    for job in claimed[1:]:
        answer(scene, *job)
    for job in claim_all(scene, batch.id).items():
        answer(scene, *job)
    assert sorted(result.custom_id for result in stream) == ["a2", "a3", "a4", "a5"]


def test_waiting_returns_when_all_have_ended(batch: Batch, scene: Scene) -> None:
    for job in claim_all(scene, batch.id).items():
        answer(scene, *job)
    progress = batch.wait(timeout=5)
    assert progress.finished
    assert progress.overall.succeeded == 5


@pytest.mark.parametrize(
    "wait", [lambda batch: batch.wait(timeout=0.05), lambda batch: list(batch.stream(timeout=0.05))]
)
def test_waiting_in_vain_ends_with_what_to_look_at(
    batch: Batch, wait: Callable[[Batch], object]
) -> None:
    with pytest.raises(TimeoutError, match=f"promptmill status {batch.id}"):
        wait(batch)


def test_a_cancelled_batch_ends(batch: Batch, scene: Scene) -> None:
    assert batch.cancel() == 5
    assert batch.wait(timeout=5).overall.cancelled == 5
    assert [result.state for result in batch.stream(timeout=5)] == ["cancelled"] * 5


def test_a_word_that_there_is_not_is_named_with_those_that_there_are(
    batch: Batch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="what='al': write one of 'answered', 'failed', 'all'"):
        batch.export(tmp_path / "out.csv", what="al")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="format='xls': write one of 'jsonl', 'csv'"):
        batch.export(tmp_path / "out", format="xls")  # type: ignore[arg-type]
    assert not list(tmp_path.glob("out*"))


def test_a_batch_that_is_not_there_is_named(scene: Scene) -> None:
    for ask in (Batch(99).status, Batch(99).cancel, lambda: list(Batch(99).results())):
        with pytest.raises(UsageError, match="no batch 99"):
            ask()
