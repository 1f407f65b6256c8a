"""Prompts through one real worker process: what comes back from a provider, and what is made of it.

One worker serves the whole file; each test has its own batch, and faults that match its prompts.
"""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.broker import list_keys
from promptmill.schema.hint import queue_name
from promptmill.schema.pauses import lift_pauses, pauses_now
from tests.services.celery_events import CeleryEvents
from tests.services.running_mill import ANTHROPIC, GEMINI, MODELS, OPENAI, RunningMill
from tests.services.waiting import wait_until
from tests.workers.conftest import CONCURRENCY

pytestmark = pytest.mark.usefixtures("worker")


def jobs(mill: RunningMill, batch_id: int) -> list[dict[str, Any]]:
    return mill.sql(f"select * from jobs where batch_id = {batch_id} order by position")


def attempts(mill: RunningMill, batch_id: int) -> list[dict[str, Any]]:
    return mill.sql(
        f"select * from promptmill_attempts where batch_id = {batch_id} order by job_id, fence"
    )


def the_job(mill: RunningMill, batch_id: int) -> dict[str, Any]:
    (job,) = jobs(mill, batch_id)
    return job


def test_three_providers_answer_and_are_paid(mill: RunningMill) -> None:
    batch = mill.load(30, providers=list(MODELS))
    assert mill.wait_done(batch) == {"succeeded": 30}
    assert mill.requests(batch) == 30
    rows = mill.sql(f"select * from promptmill_results where batch_id = {batch}")
    assert {row["provider"] for row in rows} == set(MODELS)
    assert all(row["text"] and row["cost_usd"] > 0 and row["latency_ms"] >= 0 for row in rows)


def test_images_are_files_and_vectors_are_kept(mill: RunningMill) -> None:
    drawing: dict[str, Any] = {"native": {"prompt": "A mill", "n": 2}, "endpoint": "images"}
    drawn = mill.load(model="gpt-image-1", **drawing)
    embedding: dict[str, Any] = {
        "native": {"input": "A mill", "dimensions": 8},
        "endpoint": "embeddings",
    }
    embedded = mill.load(model="text-embedding-3-small", **embedding)
    assert mill.wait_done(drawn) == mill.wait_done(embedded) == {"succeeded": 1}
    files = mill.sql(f"select * from promptmill_files where batch_id = {drawn} order by file_no")
    assert [file["file_no"] for file in files] == [0, 1]
    for file in files:
        data = Path(file["path"]).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
    (row,) = mill.sql(f"select * from promptmill_results where batch_id = {drawn}")
    body = json.loads(row["body"])
    assert [one["b64_json"] for one in body["data"]] == [f"file:{one['path']}" for one in files]
    assert (row["endpoint"], row["output_tokens"]) == ("images", 544)
    assert row["cost_usd"] > 0
    (row,) = mill.sql(f"select * from promptmill_results where batch_id = {embedded}")
    assert len(json.loads(row["body"])["data"][0]["embedding"]) == 8
    assert (row["endpoint"], row["text"], row["output_tokens"]) == ("embeddings", None, 0)


def test_a_rate_limit_costs_a_wait_and_no_attempt(mill: RunningMill) -> None:
    mill.simulator.add_fault("rate", contains="too fast", count=1, retry_after="1")
    batch = mill.load(say="too fast")
    assert mill.wait_done(batch) == {"succeeded": 1}
    job = the_job(mill, batch)
    assert (job["attempts"], job["refusals"]) == (1, 1)
    assert [row["error_kind"] for row in attempts(mill, batch)] == ["rate", None]


def test_a_server_error_is_tried_again_and_celery_shows_the_retry(
    mill: RunningMill, events: CeleryEvents
) -> None:
    mill.simulator.add_fault("server_error", contains="it broke", count=2)
    batch = mill.load(say="it broke")
    assert mill.wait_done(batch) == {"succeeded": 1}
    job = the_job(mill, batch)
    assert job["attempts"] == 3
    retried = events.wait_for(job["id"], "task-retried")
    assert "transient 500" in retried["exception"]
    events.wait_for(job["id"], "task-succeeded")


def test_rows_in_flower_stay_readable_after_a_retry(
    mill: RunningMill, events: CeleryEvents
) -> None:
    mill.simulator.add_fault("server_error", contains="once more", count=1)
    batch = mill.load(say="once more")
    mill.wait_done(batch)
    job_id = the_job(mill, batch)["id"]
    done = events.wait_for(job_id, "task-succeeded")
    shown = [e for e in events.seen if e.get("uuid") == f"job-{job_id}" and "args" in e]
    assert [event["retries"] for event in shown] == [0, 1], "either dispatch or the worker hints"
    for event in shown:
        assert event["args"].startswith(f"batch {batch} line 1 {MODELS[OPENAI]} attempt")
        assert event["kwargs"] == ""
    assert done["result"].startswith("'ok in=")


def test_a_long_retry_is_parked_in_sql_and_no_message_waits_in_redis(
    mill: RunningMill, events: CeleryEvents
) -> None:
    mill.simulator.add_fault("server_error", contains="come back", count=1, retry_after="2.5")
    batch = mill.load(say="come back")
    job_id = the_job(mill, batch)["id"]
    events.wait_for(job_id, "task-retried")
    assert the_job(mill, batch)["state"] == 3
    assert mill.valkey.client.hlen("promptmill:unacked") == 0
    assert not any(map(mill.valkey.client.llen, list_keys(mill.settings, queue_name(OPENAI))))
    assert mill.wait_done(batch) == {"succeeded": 1}
    received = [
        e for e in events.seen if e["type"] == "task-received" and e["uuid"] == f"job-{job_id}"
    ]
    assert [event["eta"] for event in received] == [None, None]


def test_a_message_carries_ids_and_nothing_else(mill: RunningMill) -> None:
    batch = mill.load()
    mill.wait_done(batch)
    job = the_job(mill, batch)
    bodies = re.findall(r'"body": "([^"]+)"', mill.valkey.written())
    sent = [json.loads(base64.b64decode(body)) for body in bodies]
    nothing = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert [[job["id"], job["dispatch_no"]], {}, nothing] in sent
    assert all(kwargs == {} and options == nothing for _args, kwargs, options in sent)


def test_a_request_that_is_refused_for_what_it_is_fails_at_once(
    mill: RunningMill, events: CeleryEvents
) -> None:
    mill.simulator.add_fault("invalid_request", contains="makes no sense")
    batch = mill.load(say="makes no sense")
    assert mill.wait_done(batch) == {"failed": 1}
    assert mill.requests(batch) == 1
    failed = events.wait_for(the_job(mill, batch)["id"], "task-failed")
    assert failed["exception"].startswith("JobFailed('request 400")


def test_an_overloaded_provider_is_waited_for(mill: RunningMill) -> None:
    mill.simulator.add_fault("overloaded", contains="too busy", count=1, retry_after="0.5")
    batch = mill.load(say="too busy", providers=[ANTHROPIC])
    assert mill.wait_done(batch) == {"succeeded": 1}
    job = the_job(mill, batch)
    assert (job["attempts"], job["refusals"]) == (1, 1)


def test_an_answer_that_breaks_off_is_unknown_and_tried_again(mill: RunningMill) -> None:
    mill.simulator.add_fault("cut", contains="breaks off", count=1)
    batch = mill.load(say="breaks off")
    assert mill.wait_done(batch) == {"succeeded": 1}
    assert [row["outcome"] for row in attempts(mill, batch)] == ["unknown", "succeeded"]
    assert mill.requests(batch) == 2


def test_an_unknown_outcome_is_held_where_the_batch_says_so(mill: RunningMill) -> None:
    mill.simulator.add_fault("cut", contains="pay me once", count=1)
    batch = mill.load(say="pay me once", on_unknown="hold")
    assert mill.wait_done(batch) == {"quarantined": 1}
    assert mill.requests(batch) == 1


def test_an_unusable_answer_is_bought_once_more_and_then_given_up(mill: RunningMill) -> None:
    mill.simulator.add_fault("html", contains="web page")
    batch = mill.load(say="web page", providers=[GEMINI])
    assert mill.wait_done(batch) == {"failed": 1}
    assert [row["error_kind"] for row in attempts(mill, batch)] == ["bad_response"] * 2
    bodies = mill.sql(
        "select b.* from attempt_bodies b join jobs j on j.id = b.job_id"
        f" where j.batch_id = {batch}"
    )
    assert len(bodies) == 2


def test_a_try_that_never_works_ends_with_its_attempts(mill: RunningMill) -> None:
    mill.simulator.add_fault("server_error", contains="never works")
    batch = mill.load(say="never works")
    assert mill.wait_done(batch) == {"failed": 1}
    assert mill.requests(batch) == mill.settings.retry.max_attempts


@pytest.mark.parametrize(
    ("provider", "trouble", "kind"), [(OPENAI, "money", "money"), (ANTHROPIC, "bad_key", "key")]
)
def test_a_key_without_credit_stops_in_sql_and_keeps_its_jobs(
    mill: RunningMill, provider: str, trouble: str, kind: str
) -> None:
    mill.simulator.add_fault(trouble, contains=f"no {kind} left")
    batch = mill.load(5 * CONCURRENCY, say=f"no {kind} left", providers=[provider])
    try:
        wait_until(lambda: pause_of(mill, provider), f"{provider} to be paused")
        wait_until(
            lambda: mill.states(batch) == {"pending": 5 * CONCURRENCY}, "all jobs to be put back"
        )
        assert mill.requests(batch) <= CONCURRENCY
        assert pause_of(mill, provider).kind == kind
        mill.simulator.clear_faults()
    finally:
        resume(mill, provider)
    assert mill.wait_done(batch) == {"succeeded": 5 * CONCURRENCY}
    assert {job["attempts"] for job in jobs(mill, batch)} == {1}


def test_a_revoked_task_ends_its_open_call_and_the_job_is_not_lost(
    mill: RunningMill, events: CeleryEvents
) -> None:
    mill.simulator.add_fault("hang", contains="take for ever", count=1)
    batch = mill.load(say="take for ever")
    wait_until(lambda: mill.requests(batch) == 1, "the call to be open")
    job_id = the_job(mill, batch)["id"]
    events.app.control.revoke(f"job-{job_id}", terminate=True)
    assert mill.wait_done(batch) == {"succeeded": 1}
    assert [row["error_code"] for row in attempts(mill, batch)] == ["worker_stopped", None]


def test_a_call_that_was_ended_gives_its_permit_back(
    mill: RunningMill, events: CeleryEvents
) -> None:
    mill.simulator.add_fault("hang", contains="hold a permit", count=1)
    batch = mill.load(say="hold a permit")
    wait_until(lambda: mill.requests(batch) == 1, "the call to be open")
    events.app.control.revoke(f"job-{the_job(mill, batch)['id']}", terminate=True)
    mill.wait_done(batch)
    client = mill.valkey.client
    wait_until(lambda: not sum(map(client.zcard, client.keys("*openai*:leases"))), "free leases")


def test_an_answer_that_sql_cannot_hold_is_cleaned_and_kept_as_it_came(mill: RunningMill) -> None:
    mill.simulator.add_fault("nul", contains="a strange sign", count=1)
    batch = mill.load(say="a strange sign")
    assert mill.wait_done(batch) == {"succeeded": 1}
    (row,) = mill.sql(f"select text from promptmill_results where batch_id = {batch}")
    assert "\ufffd" in row["text"]
    assert mill.requests(batch) == 1


def pause_of(mill: RunningMill, provider: str) -> Any:
    with mill.database.read() as connection:
        pauses = [pause for pause in pauses_now(connection) if pause.provider == provider]
    return pauses[0] if pauses else None


def resume(mill: RunningMill, provider: str) -> None:
    with mill.database.write() as connection:
        lift_pauses(connection, provider=provider)
