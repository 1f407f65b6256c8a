"""Files by OpenAI's own client, and files that no batch can be made of."""

from hashlib import md5
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI
from openai.types import BatchError

from promptmill.gateway.keeping.finishing import Finishing
from tests.gateway.orders import CHAT, ended, line, order, upload
from tests.services.running_gateway import RunningGateway
from tests.services.waiting import wait_until

MODEL = "gpt-4o-mini"
VECTORS, EMBED = "text-embedding-3-small", "/v1/embeddings"


def test_files_and_batches_are_kept_listed_by_pages_and_deleted(gateway: RunningGateway) -> None:
    client = gateway.client()
    ids = [upload(client, line(f"r{n}", MODEL), name=f"../../etc/{n}.jsonl") for n in range(5)]
    first = client.files.retrieve(ids[0])
    assert first.to_dict() | {"created_at": 0, "expires_at": 0} == {
        "id": ids[0],
        "object": "file",
        "bytes": len(line("r0", MODEL)) + 1,
        "created_at": 0,
        "expires_at": 0,
        "filename": "0.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
    assert first.expires_at == first.created_at + 30 * 86_400
    assert client.files.content(ids[0]).text == line("r0", MODEL) + "\n"
    assert [one.id for one in client.files.list(limit=2)] == ids[::-1]
    assert [one.id for one in client.files.list(limit=2, order="asc", purpose="batch")] == ids
    assert client.files.delete(ids[0]).deleted
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match="No such File object"):
            gone(ids[0])
    kept = client.files.create(
        file=("b.jsonl", b"{}"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert kept.expires_at == kept.created_at + 3600

    made = [order(client, line(f"r{n}", MODEL), metadata={"n": str(n)}) for n in range(5)]
    assert [one.id for one in client.batches.list(limit=2)] == [one.id for one in made[::-1]]
    other = gateway.client(gateway.key("others"))
    assert (list(other.files.list()), list(other.batches.list())) == ([], [])


def test_a_file_comes_by_parts_in_the_order_that_is_told_at_the_end(
    gateway: RunningGateway,
) -> None:
    client = gateway.client()
    data = (line("a", MODEL) + "\n" + line("b", MODEL) + "\n").encode()
    head, tail = data[:50], data[50:]
    upload = client.uploads.create(
        bytes=len(data), filename="in.jsonl", mime_type="text/jsonl", purpose="batch"
    )
    assert (upload.status, upload.expires_at - upload.created_at) == ("pending", 3600)
    last = client.uploads.parts.create(upload.id, data=("p", tail))
    first = client.uploads.parts.create(upload.id, data=("p", head))
    with pytest.raises(BadRequestError, match="takes no more"):
        client.uploads.parts.create(upload.id, data=("p", b"x"))
    for wrong in ([first.id], [first.id, first.id], [first.id, "part_x"]):
        with pytest.raises(BadRequestError, match="part"):
            client.uploads.complete(upload.id, part_ids=wrong)
    both = [first.id, last.id]
    with pytest.raises(BadRequestError, match="MD5"):
        client.uploads.complete(upload.id, part_ids=both, md5="0" * 32)
    with pytest.raises(NotFoundError):
        gateway.client(gateway.key("others")).uploads.complete(upload.id, part_ids=both)
    done = client.uploads.complete(
        upload.id, part_ids=both, md5=md5(data, usedforsecurity=False).hexdigest()
    )
    assert done.status == "completed"
    assert done.file
    assert client.files.content(done.file.id).content == data
    assert client.files.retrieve(done.file.id).filename == "in.jsonl"
    with pytest.raises(BadRequestError, match="The upload is completed"):
        client.uploads.cancel(upload.id)
    other = client.uploads.create(bytes=9, filename="x", mime_type="text/jsonl", purpose="batch")
    client.uploads.parts.create(other.id, data=("p", b"123"))
    assert client.uploads.cancel(other.id).status == "cancelled"
    Finishing(gateway.gateway)._tidy()
    assert {path.name for path in gateway.gateway.folder.path("").iterdir()} == {done.file.id}


def test_what_is_not_taken_is_refused_with_what_to_do(gateway: RunningGateway) -> None:
    client = gateway.client()
    good = upload(client, line("a", MODEL))
    anything: dict[str, object] = {"input_file_id": good, "endpoint": CHAT}
    wrong: list[tuple[dict[str, object], str]] = [
        ({"completion_window": "1 day"}, "completion window"),
        ({"completion_window": "24h", "endpoint": "/v1/videos"}, "endpoint"),
        ({"completion_window": "24h", "metadata": {"a": "x" * 513}}, "metadata"),
        ({"completion_window": "24h", "input_file_id": "file-none"}, "No such File"),
        ({"completion_window": "24h", "extra": 1}, "extra"),
        ({}, "completion_window"),
    ]
    for body, told in wrong:
        with pytest.raises((BadRequestError, NotFoundError), match=told):
            client.post("/batches", body=anything | body, cast_to=object)
    with pytest.raises(BadRequestError, match="`batch` only"):
        client.files.create(file=("a", b"x"), purpose="fine-tune")
    with pytest.raises(BadRequestError, match=r"expires_after\.seconds"):
        client.files.create(
            file=("a", b"x"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 5},
        )
    with pytest.raises(APIStatusError, match="larger than the 100,000 bytes") as refused:
        client.files.create(file=("a", b"x" * 100_001), purpose="batch")
    assert refused.value.status_code == 413
    assert len(list(client.files.list())) == 1


def test_a_bad_file_runs_nothing_and_tells_its_lines(gateway: RunningGateway) -> None:
    client = gateway.client()
    good = line("a", MODEL)
    image = [{"type": "image_url", "image_url": {"url": "file:secret"}}]
    files = [
        [good, line("b", MODEL), line("a", MODEL)],
        [line("e", MODEL, url="/v1/embeddings", input="x"), good, "no json"],
        [line("x", "no-such-model")],
        [""],
        [good] * 6,
    ]
    found = [errors_of(client, lines) for lines in files]
    assert [[(one.code, one.line) for one in errors] for errors in found] == [
        [("duplicate_custom_id", 3)],
        [("invalid_line", 1), ("invalid_line", 3)],
        [("invalid_line", 1)],
        [("invalid_file", None)],
        [("invalid_file", None)],
    ]
    assert "does not tell its provider" in (found[2][0].message or "")
    assert "6 lines, and 5 are taken" in (found[4][0].message or "")
    vectors = [line(n, VECTORS, url=EMBED, input=["x", "y", "z"]) for n in "ab"]
    (one,) = errors_of(client, vectors, endpoint=EMBED)
    assert (one.line, "more than 5 texts to embed" in (one.message or "")) == (2, True)
    reads = ended_validation(
        client, [line("f", MODEL, messages=[{"role": "user", "content": image}])]
    )
    assert reads == "in_progress"
    with gateway.database.read() as connection:
        bodies = connection.exec_driver_sql("select body from job_payloads").scalars().all()
    assert "file:secret" in str(bodies)


def errors_of(client: OpenAI, lines: list[str], **asked: Any) -> list[BatchError]:
    """Order the answers to a file that is refused; return why."""
    batch = ended(client, order(client, *lines, **asked))
    assert (batch.status, batch.output_file_id, batch.in_progress_at) == ("failed", None, None)
    assert batch.failed_at
    assert batch.errors
    assert batch.errors.data
    return batch.errors.data


def ended_validation(client: OpenAI, lines: list[str]) -> str:
    """Order the answers to a file; return what the batch is once that was looked at."""
    batch = order(client, *lines)

    def looked_at() -> str:
        status = client.batches.retrieve(batch.id).status
        return "" if status == "validating" else status

    return wait_until(looked_at, "its validation")
