"""`promptmill run`, from a file of prompts to rows in SQL."""

import json
from collections import Counter

import pytest

from tests.acceptance.laptop import EXAMPLES, KEYS, Laptop, living
from tests.services.waiting import wait_until


def test_a_batch_file_is_answered_once_and_its_rows_are_in_sql(laptop: Laptop) -> None:
    typed = laptop.promptmill("run", EXAMPLES / "batch.jsonl")
    assert typed.code == 0, typed.err
    answered = laptop.sql("select custom_id, text from promptmill_results order by position")
    assert [custom_id for custom_id, _text in answered] == [f"request-{n}" for n in range(1, 21)]
    assert all(text for _custom_id, text in answered)
    assert laptop.simulator.summary().total.requests == 20
    assert "20 of 20 done" in typed.err
    assert "20 of 20 answered, 0 failed" in typed.err
    assert "\n  sql        promptmill sql 'select text " in typed.err
    assert max(map(len, typed.err.splitlines())) <= 100 - len("000000"), "any id fits 100 columns"
    assert typed.out == ""

    again = laptop.promptmill("run", EXAMPLES / "batch.jsonl")
    assert again.code == 0, again.err
    assert laptop.simulator.summary().total.requests == 20


def test_rows_with_a_template_are_answered_and_progress_is_told_in_json(laptop: Laptop) -> None:
    words = ["-m", "claude-haiku-4-5", "-p", "Sentiment of: {text}", "--json"]
    typed = laptop.promptmill("run", EXAMPLES / "reviews.jsonl", *words)
    assert typed.code == 0, typed.err
    events = [json.loads(line) for line in typed.out.splitlines()]
    assert [event["event"] for event in events[:-1]] == ["progress"] * (len(events) - 1)
    last = events[-1]
    assert (last["event"], last["succeeded"], last["total"]) == ("finished", 60, 60)
    assert last["state"] == "ended"
    assert last["output_tokens"] == laptop.simulator.summary().total.output_tokens
    assert laptop.count("promptmill_results where provider = 'anthropic'") == 60
    assert len({row.prompt_sha256 for row in laptop.simulator.bill()}) == 60


def test_a_prompt_that_is_refused_fails_alone_and_says_why(laptop: Laptop) -> None:
    laptop.simulator.add_fault("invalid_request", contains="number 3 ")
    prompts = laptop.write_prompts(10)
    typed = laptop.promptmill("run", prompts, "-m", "gpt-4o-mini", "-p", "Answer: {text}")
    assert typed.code == 3, typed.err
    assert "9 of 10 answered, 1 failed" in typed.err
    assert laptop.simulator.summary().total.requests == 10

    failed = laptop.promptmill("results", "--failed", "--json")
    (row,) = map(json.loads, failed.out.splitlines())
    assert (row["custom_id"], row["error_kind"]) == ("q3", "request")
    assert row["error_text"]
    view = "select custom_id, error_kind, http_status, error_text from promptmill_failures"
    assert laptop.sql(view) == [("q3", "request", 400, row["error_text"])]


@pytest.mark.long
def test_runs_at_the_same_time_in_one_folder_share_the_valkey_and_all_finish(
    laptop: Laptop,
) -> None:
    laptop.simulator.configure(latency_s=0.8)  # neither ends before the other has begun
    files = [laptop.write_prompts(40, name) for name in ("one.jsonl", "other.jsonl")]
    both = [
        laptop.begin("run", file, "-m", "gpt-4o-mini", "-p", "Answer: {text}", "-c", "5")
        for file in files
    ]
    wait_until(lambda: laptop.count("workers") == 2, "a worker of each", timeout=40)
    families = [running.family() for running in both]
    (valkey,) = laptop.valkeys()
    assert sum(valkey in family for family in families) == 1
    for running in both:
        typed = running.ended()
        assert typed.code == 0, typed.err
    asked = Counter(row.prompt_sha256 for row in laptop.simulator.bill())
    assert len(asked) == 80
    assert set(asked.values()) == {1}
    assert laptop.count("promptmill_results") == 80
    assert not set.union(*families) & living().keys()


VENDOR = """
[providers.my-mill]
kind = "openai"
base_url = "{url}"
limits = {{ rpm = "60k" }}

[routes]
"llama-*" = "my-mill"
"""


def test_a_table_is_asked_of_two_models_one_at_a_vendor_and_equal_rows_once(laptop: Laptop) -> None:
    config = VENDOR.format(url=laptop.simulator.openai_url)
    (laptop.folder / "promptmill.toml").write_text(config)
    laptop.env["MY_MILL_API_KEY"] = KEYS["openai"]
    table = laptop.folder / "asked.csv"
    table.write_text("id,text\n" + "".join(f"r{n},question {n % 6}\n" for n in range(10)))
    models = ["-m", "llama-3.3-70b", "-m", "claude-haiku-4-5"]
    typed = laptop.promptmill(
        "run", table, *models, "-p", "Answer: {text}", "--dedupe", "--rpm", "30k"
    )
    assert typed.code == 0, typed.err
    assert "20 prompts stored as batch 1: asked.csv (CSV)" in typed.err
    assert "equal to one before, and not asked again: 8" in typed.err
    assert laptop.sql("select run_limits from batches") == [('{"rpm":30000.0}',)]
    assert laptop.simulator.summary().total.requests == 12
    rows = laptop.sql(
        "select provider, model, count(*), count(distinct custom_id), count(distinct text)"
        " from promptmill_results group by provider, model order by provider"
    )
    assert rows == [
        ("anthropic", "claude-haiku-4-5", 10, 10, 6),
        ("my-mill", "llama-3.3-70b", 10, 10, 6),
    ]
