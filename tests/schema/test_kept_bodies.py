"""The provider's own answer, and the files that came with it: kept beside the result, and gone
with it."""

from dataclasses import replace

import pytest

from promptmill.schema.answers import results_of
from promptmill.schema.moves.endings import StoredFile, finish
from promptmill.schema.moves.pruning import Pruned, mark_pruned, prune_chunk
from tests.schema.scene import ANSWER, ANSWERED, Scene

# A number whose spelling counts, a NUL and half a surrogate pair as JSON escapes them.
BODY = r'{"data": [{"embedding": [0.10, 1e-7]}], "new": "\u0000 \ud83d ü"}'
FILE = StoredFile(0, "image/png", 67, "ab" * 32, "/state/files/1/1-1-0.png")
KEPT = replace(ANSWER, text=None, endpoint="embeddings", body=BODY, files=(FILE,))


def test_an_answers_body_is_kept_as_it_was_spelled(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.close(finish(job_id, fence, ANSWERED, KEPT))
    with scene.database.read() as connection:
        (result,) = results_of(connection, [job_id])
    assert result.body_json == BODY
    assert result.endpoint == "embeddings"
    assert result.embedding == [0.1, 1e-7]
    assert result.files == ((0, "image/png", 67, "ab" * 32, "/state/files/1/1-1-0.png"),)


def test_of_an_answer_whose_columns_say_it_all_no_body_is_kept(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    with scene.database.read() as connection:
        (result,) = results_of(connection, [job_id])
    assert (result.endpoint, result.body, result.embedding) == ("chat", None, None)
    (row,) = scene.sql("select endpoint, body from promptmill_results")
    assert (row.endpoint, row.body) == ("chat", None)


def test_an_answer_that_comes_too_late_leaves_no_body(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    again = scene.again(job_id)
    scene.close(finish(job_id, fence, ANSWERED, KEPT))
    assert scene.count("result_bodies") == scene.count("result_files") == 0
    scene.close(finish(*again, ANSWERED, ANSWER), worker="w2")
    scene.close(finish(job_id, fence, ANSWERED, KEPT))
    assert scene.count("result_bodies") == scene.count("result_files") == 0


def test_an_end_that_is_stored_twice_leaves_one_body(scene: Scene) -> None:
    job_id, fence = scene.running()
    for _ in range(2):
        scene.close(finish(job_id, fence, ANSWERED, KEPT))
    assert scene.count("result_bodies") == scene.count("result_files") == 1


@pytest.mark.parametrize("level", Pruned)
def test_pruning_takes_bodies_with_their_answers(scene: Scene, level: Pruned) -> None:
    job_id, fence = scene.running()
    scene.close(finish(job_id, fence, ANSWERED, KEPT))
    (batch,) = scene.sql("select batch_id from jobs")
    scene.clock.advance(10 * 86_400)
    with scene.database.write() as connection:
        assert mark_pruned(connection, batch.batch_id, level, age_s=86_400.0)
        prune_chunk(connection, batch.batch_id, level, after=0, most=100)
    left = 0 if level is Pruned.ALL else 1
    assert scene.count("result_bodies") == scene.count("result_files") == left
