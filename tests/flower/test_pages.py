"""Flower's pages show the work by provider, in rows that people can read, and nothing secret."""

import re
from typing import Any

from tests.flower.conftest import Watched
from tests.flower.monitor import queue_lengths


def test_tasks_are_shown_by_provider(watched: Watched) -> None:
    names = [row["name"] for row in watched.flower.rows()]
    assert {name: names.count(name) for name in names} == {"openai": 15, "anthropic": 15}
    assert len(watched.flower.rows("name:openai")) == 15


def test_a_row_names_the_prompt_and_what_its_answer_cost(watched: Watched) -> None:
    row = _row(watched, "job-1")
    assert row["args"] == "batch 1 line 1 gpt-4o-mini attempt 1"
    assert row["state"] == "SUCCESS"
    assert re.fullmatch(r"ok in=\d+ out=\d+ \$\d\.\d+", row["result"])
    assert row["runtime"] > 0


def test_a_failed_row_says_why(watched: Watched) -> None:
    row = _row(watched, "job-6")
    assert row["state"] == "FAILURE"
    assert row["result"].startswith("request 400 ")


def test_a_row_that_waits_says_why_and_how_long(watched: Watched) -> None:
    row = _row(watched, "job-10")
    assert row["state"] == "RETRY"
    assert re.fullmatch(r"transient 500 \w+, again in 60\d\.\d s", row["result"])


def test_a_prompt_is_one_row_for_all_its_attempts(watched: Watched) -> None:
    row = _row(watched, "job-4")
    assert (row["state"], row["retries"]) == ("SUCCESS", 1)
    assert row["args"] == "batch 1 line 4 claude-sonnet-4-5 attempt 2"


def test_rows_are_found_by_batch_and_state(watched: Watched) -> None:
    assert len(watched.flower.rows('args:"batch 1 line"')) == 30
    assert [row["uuid"] for row in watched.flower.rows("state:FAILURE")] == ["job-6"]


def test_the_tasks_page_has_the_columns_and_a_link_to_each_task(watched: Watched) -> None:
    page = watched.flower.get("/tasks")
    columns = re.findall(r'data-column="(\w+)"', page.text)
    assert ",".join(columns) == "uuid,name,args,state,result,runtime,received,worker"


def test_a_task_has_a_page_of_its_own(watched: Watched) -> None:
    page = watched.flower.get("/task/job-10")
    assert page.status == 200
    for shown in ("anthropic", "batch 1 line 10 claude-sonnet-4-5 attempt 1", "transient 500"):
        assert shown in page.text


def test_the_broker_page_shows_the_queues_of_a_server_with_a_password(watched: Watched) -> None:
    page = watched.flower.get("/broker").text
    assert queue_lengths(page)["promptmill.openai"] == 0


def test_the_workers_page_counts_what_each_worker_did(watched: Watched) -> None:
    page = watched.flower.get(f"/worker/{watched.worker}")
    assert page.status == 200
    assert "AsyncioPool" in page.text
    assert "promptmill.anthropic" in page.text


def test_metrics_are_split_by_provider(watched: Watched) -> None:
    text = watched.flower.get("/metrics").text
    done = re.findall(r'flower_events_total\{task="(\S+?)",type="task-succeeded".*\} (\S+)', text)
    assert dict(done) == {
        "promptmill.complete.openai": "15.0",
        "promptmill.complete.anthropic": "13.0",
    }
    assert 'flower_task_runtime_seconds_bucket{le="300.0",task="promptmill.complete.openai"' in text


def test_no_page_shows_a_prompt_a_key_or_a_password(watched: Watched) -> None:
    tasks = [path for n in range(1, 31) for path in (f"/task/job-{n}", f"/api/task/info/job-{n}")]
    pages = ["/", "/workers?json=1", f"/worker/{watched.worker}", "/tasks", "/broker", "/metrics"]
    api = ["/api/workers", "/api/tasks", "/api/queues/length", "/api/task/types"]
    secret = (watched.mill.canary, watched.redis_password, watched.flower.login.partition(":")[2])
    for path in (*pages, *api, *tasks):
        page = watched.flower.get(path)
        assert page.status == 200, path
        assert not [text for text in secret if text in page.text], path
    rows = str(watched.flower.rows())
    assert not [text for text in secret if text in rows]


def _row(watched: Watched, uuid: str) -> dict[str, Any]:
    return next(row for row in watched.flower.rows() if row["uuid"] == uuid)
