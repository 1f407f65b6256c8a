"""Batches by OpenAI's own client, answered by real workers."""

import pytest
from openai import BadRequestError, OpenAI
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.gateway.conftest import IDLE
from tests.gateway.orders import ended, line, lines_of, order
from tests.services.running_mill import MODELS, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world


def test_one_file_is_answered_by_three_providers_and_read_as_openai_would_have_it(
    mill: RunningMill, client: OpenAI
) -> None:
    mill.simulator.add_fault("invalid_request", contains="refuse me")
    asked = [line(f"{name}-{n}", model) for name, model in MODELS.items() for n in range(4)]
    batch = order(
        client, *asked, line("bad", MODELS["openai"], "refuse me"), metadata={"run": "nightly"}
    )
    assert batch.status == "validating"
    assert batch.metadata == {"run": "nightly"}
    done = ended(client, batch)
    assert done.status == "completed"
    assert done.request_counts
    assert done.request_counts.to_dict() == {"total": 13, "completed": 12, "failed": 1}
    answers = lines_of(client, done.output_file_id)
    assert answers.keys() == {f"{name}-{n}" for name in MODELS for n in range(4)}
    for row in answers.values():
        assert row["error"] is None
        assert row["response"]["status_code"] == 200
        completion = ChatCompletion.model_validate(row["response"]["body"], strict=True)
        assert completion.choices[0].message.content
    (failure,) = lines_of(client, done.error_file_id).values()
    assert failure["custom_id"] == "bad"
    assert failure["response"]["status_code"] == 400
    usage = [row["response"]["body"]["usage"] for row in answers.values()]
    assert done.usage
    assert done.usage.input_tokens == sum(one["prompt_tokens"] for one in usage)
    assert done.usage.output_tokens == sum(one["completion_tokens"] for one in usage)
    assert done.in_progress_at
    assert done.finalizing_at
    assert done.completed_at
    assert "model" not in done.to_dict()
    with pytest.raises(BadRequestError, match="Cannot cancel a batch with status 'completed'"):
        client.batches.cancel(batch.id)
    assert_world(mill)


def test_files_of_answers_are_there_only_where_they_have_lines(
    mill: RunningMill, client: OpenAI
) -> None:
    mill.simulator.add_fault("invalid_request", contains="refuse me")
    model = MODELS["openai"]
    vectors = [
        line(f"v{n}", "text-embedding-3-small", url="/v1/embeddings", input=f"word {n}")
        for n in range(3)
    ]
    replies = [line(f"r{n}", model, url="/v1/responses", input=f"word {n}") for n in range(3)]
    clean = order(client, *vectors, endpoint="/v1/embeddings")
    native = order(client, *replies, endpoint="/v1/responses")
    failed = order(client, *(line(f"f{n}", model, "refuse me") for n in range(3)))

    done = ended(client, clean)
    assert "error_file_id" not in done.to_dict()
    assert done.model == "text-embedding-3-small"
    for row in lines_of(client, done.output_file_id).values():
        assert CreateEmbeddingResponse.model_validate(row["response"]["body"]).data[0].embedding
    for row in lines_of(client, ended(client, native).output_file_id).values():
        assert Response.model_validate(row["response"]["body"]).output_text
    done = ended(client, failed)
    assert done.status == "completed"
    assert "output_file_id" not in done.to_dict()
    assert done.request_counts
    assert (done.request_counts.completed, done.request_counts.failed) == (0, 3)
    assert lines_of(client, done.error_file_id).keys() == {"f0", "f1", "f2"}


def test_what_was_answered_before_the_end_of_the_time_or_a_cancel_can_be_taken(
    mill: RunningMill, client: OpenAI
) -> None:
    held = [line("held", f"{IDLE}/{MODELS['openai']}")]
    asked = [line(f"a{n}", MODELS["openai"], f"word {n}") for n in range(3)]
    late, stopped = order(client, *asked, *held), order(client, *asked, *held)

    def answered(batch_id: str) -> bool:
        counts = client.batches.retrieve(batch_id).request_counts
        return counts is not None and counts.completed == 3

    wait_until(lambda: answered(late.id) and answered(stopped.id), "three answers of each")
    assert client.batches.cancel(stopped.id).status == "cancelling"
    with mill.database.write() as connection:
        connection.exec_driver_sql(
            f"update gateway_batches set expires_at = created_at where id = '{late.id}'"
        )
    ends = {
        late.id: ("expired", "batch_expired"),
        stopped.id: ("cancelled", "batch_cancelled"),
    }
    for one in (late, stopped):
        done = ended(client, one)
        assert (done.status, done.request_counts and done.request_counts.to_dict()) == (
            ends[one.id][0],
            {"total": 4, "completed": 3, "failed": 1},
        )
        assert lines_of(client, done.output_file_id).keys() == {"a0", "a1", "a2"}
        (lost,) = lines_of(client, done.error_file_id).values()
        assert lost["response"] is None
        assert (lost["custom_id"], lost["error"]["code"]) == ("held", ends[one.id][1])
