"""`ls`, `status`, `results` and `sql`: what they tell of a batch that is half done."""

import csv
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from promptmill.producer.opening import opened
from promptmill.schema import answers
from promptmill.schema.pauses import pause_provider
from promptmill.schema.settings import Settings
from tests.cli.promptmill import PROGRAM, Here, typed
from tests.schema.scene import Scene, new_jobs
from tests.submit.inputs import answer, claim_all, hold_back, refuse, write_batch

EVIL = "ok \x1b[2J\x9b31m\u202e[bold]%s {x}\nnext"


@pytest.fixture
def batch_id(promptmill: Here, scene: Scene) -> int:
    """Six prompts: two answered, two failed, one held, one to be done."""
    batch = int(promptmill("submit", write_batch(Path("in.jsonl"), 6)).out)
    one, two, three, four, five = claim_all(scene, batch, most=5).items()
    answer(scene, *one, text=EVIL)
    answer(scene, *four, text="four", first_token_ms=320)
    refuse(scene, *two)
    refuse(scene, *three)
    hold_back(scene, *five)
    return batch


def test_batches_are_listed_the_latest_first(
    batch_id: int, promptmill: Here, tmp_path: Path
) -> None:
    promptmill("submit", write_batch(tmp_path / "other.jsonl", 1))
    listed = promptmill("ls", "--json").objects
    assert [row["name"] for row in listed] == ["other.jsonl", "in.jsonl"]
    told = listed[1]
    assert (told["batch"], told["state"], told["total"], told["left"]) == (batch_id, "open", 6, 1)
    assert (told["succeeded"], told["failed"]) == (2, 3)
    table = promptmill("ls", "-n", 1).out.splitlines()
    assert len(table) == 2
    assert max(map(len, table)) <= 80


def test_the_view_of_batches_says_their_states_as_ls_does(promptmill: Here, scene: Scene) -> None:
    def make(jobs: int) -> int:
        return int(promptmill("submit", write_batch(Path(f"{jobs}.jsonl"), jobs)).out)

    ended, ended_while_paused, left, paused, cancelled = map(make, range(1, 6))
    running = claim_all(scene, ended_while_paused)
    for batch in (ended_while_paused, paused):
        promptmill("pause", batch)
    for job in (*claim_all(scene, ended).items(), *running.items()):
        refuse(scene, *job)
    promptmill("cancel", cancelled)
    assert "paused" not in promptmill("status", ended_while_paused).out
    listed = {row["batch"]: row["state"] for row in promptmill("ls", "--json").objects}
    view = scene.sql("select batch_id, state from promptmill_batches")
    assert {row.batch_id: row.state for row in view} == listed
    assert listed == {
        ended: "ended",
        ended_while_paused: "ended",
        left: "open",
        paused: "paused",
        cancelled: "cancelled",
    }


def test_live_calls_are_listed_where_asked_for_and_are_never_the_latest_batch(
    batch_id: int, promptmill: Here, tmp_path: Path, scene: Scene
) -> None:
    promptmill("submit", write_batch(tmp_path / "other.jsonl", 1))
    with scene.database.write() as connection:
        connection.exec_driver_sql(
            "update batches set name = 'live_1', tenant_id = 1 where name = 'other.jsonl'"
        )
    assert [row["name"] for row in promptmill("ls", "--json").objects] == ["in.jsonl"]
    everything = promptmill("ls", "--live", "--json").objects
    assert [row["name"] for row in everything] == ["live_1", "in.jsonl"]
    assert promptmill("status", "--json").objects[0]["batch"] == batch_id


def test_status_tells_counts_usage_failures_and_what_to_do(batch_id: int, promptmill: Here) -> None:
    (told,) = promptmill("status", "--json").objects
    assert (told["batch"], told["total"], told["succeeded"], told["failed"]) == (batch_id, 6, 2, 3)
    assert (told["input_tokens"], told["output_tokens"], told["cost_usd"]) == (200, 40, 0.003)
    assert [model["name"] for model in told["models"]] == ["openai gpt-4o-mini"]
    by_kind = {group["error_kind"]: group for group in told["failures"]}
    assert {kind: group["jobs"] for kind, group in by_kind.items()} == {"request": 2, "unknown": 1}
    assert by_kind["request"]["custom_id"] == "a2"
    assert "mend these lines" in by_kind["request"]["what_to_do"]
    assert f"promptmill retry {batch_id}" in by_kind["unknown"]["what_to_do"]
    assert told["without_worker"] == ["openai"]
    took = {"answers": 2, **dict.fromkeys(("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"), 1200)}
    assert told["latency"] == told["models"][0]["latency"] == took
    assert told["first_token"] == told["models"][0]["first_token"]
    assert (told["first_token"]["answers"], told["first_token"]["p50_ms"]) == (1, 320)


def test_status_for_people_fits_100_columns(batch_id: int, promptmill: Here) -> None:
    said = promptmill("status", batch_id)
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 100
    assert "2 failed: request, such as a2" in said.out
    assert "latency: half within 1.2 s, 95% within 1.2 s, 99% within 1.2 s, slowest" in said.out
    assert "first token: half within 320 ms, 95% within 320 ms, of 1 streamed" in said.out
    assert "1 quarantined: unknown timeout, such as a5" in said.out
    assert "start `promptmill worker openai`" in said.out


def test_status_tells_of_a_provider_that_the_settings_have_no_more(
    promptmill: Here, scene: Scene
) -> None:
    scene.load(3, jobs=new_jobs(3, provider="gone"))
    said = promptmill("status").out
    assert "gone is asked, and is neither a provider nor a pool of these settings" in said
    assert "promptmill worker" not in said


def test_status_tells_the_limits_of_what_is_left(batch_id: int, promptmill: Here) -> None:
    promptmill("limits", "set", "openai", "rpm=500", "tpm=200k")
    said = promptmill("status", batch_id)
    line = "openai gpt-4o-mini: 500 requests a minute, 200k tokens a minute"
    assert f"\nlimits\n  {line}\n" in said.out
    (told,) = promptmill("status", "--json").objects
    assert told["limits"][0]["limits"] == {"rpm": 500.0, "tpm": 200_000.0}


def test_failures_beyond_the_first_50_000_are_said_not_to_be_counted(
    batch_id: int, promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_LOOK", 2)
    assert "\nfailures (of the first 2)\n  2 failed: request" in promptmill("status").out
    assert promptmill("status", "--json").objects[0]["failures_counted"] == 2


def test_status_tells_of_pauses_and_how_to_end_them(
    batch_id: int, promptmill: Here, settings: Settings
) -> None:
    with opened(settings) as database, database.write() as connection:
        refused, name = "key: refused", "openai"
        pause_provider(connection, provider=name, kind="key", reason=refused, fingerprint="abc")
        pause_provider(connection, provider=name, kind="rate", reason="429", model="x", seconds=600)
    promptmill("pause", batch_id, "--reason", "lunch")
    (told,) = promptmill("status", batch_id, "--json").objects
    assert (told["state"], told["paused_reason"]) == ("paused", "lunch")
    advice = {pause["kind"]: pause["what_to_do"] for pause in told["pauses"]}
    assert "OPENAI_API_KEY" in advice["key"]
    assert "promptmill resume openai" in advice["key"]
    assert advice["rate"] == "goes on by itself"
    shown = promptmill("status", batch_id).out
    assert "paused: lunch" in shown
    assert "openai paused (key abc): key: refused" in shown


def test_results_come_in_the_order_of_the_input(batch_id: int, promptmill: Here) -> None:
    found = promptmill("results", batch_id, "--json").objects
    assert [(one["custom_id"], one["text"]) for one in found] == [("a1", EVIL), ("a4", "four")]
    assert (found[0]["cost_usd"], found[0]["state"]) == (0.0015, "succeeded")
    assert len(promptmill("results", "-n", 1, "--json").objects) == 1


def test_failures_are_shown_in_place_of_answers(batch_id: int, promptmill: Here) -> None:
    found = promptmill("results", "--failed").objects
    assert [(one["custom_id"], one["error_kind"]) for one in found] == [
        ("a2", "request"),
        ("a3", "request"),
        ("a5", "unknown"),
    ]


def test_answers_are_followed_to_the_end_of_the_batch(
    batch_id: int, promptmill: Here, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one["custom_id"] for one in promptmill("results", "-f", "-n", 2).objects] == [
        "a1",
        "a4",
    ]
    promptmill("cancel", batch_id)
    assert [one["custom_id"] for one in promptmill("results", "--follow").objects] == ["a1", "a4"]
    found = promptmill("results", "--follow", "--failed").objects
    assert [one["custom_id"] for one in found] == ["a2", "a3", "a5"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert promptmill("results", "--follow").out.splitlines()[1] == "a4  four"


def test_a_terminal_gets_a_table_and_no_control_characters(
    batch_id: int, promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    query = "select custom_id, text from promptmill_results order by position"
    for arguments in (("results",), ("sql", query)):
        shown = promptmill(*arguments).out
        assert "ok [2J31m[bold]%s {x} next" in shown
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    assert "\x9b" not in promptmill("results", "--json").out


@pytest.mark.parametrize("verb", ["status", "results", "retry"])
def test_a_batch_that_is_not_there_is_named(verb: str, promptmill: Here, scene: Scene) -> None:
    assert promptmill(verb, 99).err == "error: there is no batch 99: `promptmill ls` lists them\n"
    assert "there is no batch yet" in promptmill(verb).err


def test_sql_gives_csv_to_a_pipe_and_json_lines(batch_id: int, promptmill: Here) -> None:
    query = "select custom_id, text, cost_usd, tool_calls from promptmill_results order by position"
    rows = list(csv.reader(io.StringIO(promptmill("sql", query).out)))
    assert rows[0] == ["custom_id", "text", "cost_usd", "tool_calls"]
    assert (rows[1][:2], float(rows[1][2]), rows[1][3]) == (["a1", EVIL], 0.0015, "")
    found = promptmill("sql", query, "--json").objects
    assert found[1] == {"custom_id": "a4", "text": "four", "cost_usd": 0.0015, "tool_calls": None}


def test_a_cell_of_sql_is_no_formula_unless_that_is_asked_for(
    batch_id: int, promptmill: Here
) -> None:
    query = "select '=1+1' as answer, '-3' as number, 'plain' as text"
    assert promptmill("sql", query).out.splitlines()[1] == "'=1+1,-3,plain"
    assert promptmill("sql", query, "--formulas").out.splitlines()[1] == "=1+1,-3,plain"


def test_sql_takes_what_a_statement_may_have_in_it(batch_id: int, promptmill: Here) -> None:
    query = "select '100%', ':x', '%(x)s', '{now}' from promptmill_batches where name like '%n%'"
    assert promptmill("sql", query).out.splitlines()[1:] == ["100%,:x,%(x)s,{now}"]
    assert promptmill("sql", f"select {batch_id} as n -- {batch_id}", "--json").objects == [
        {"n": batch_id}
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "selec 1",
        "select * from nothing",
        "delete from jobs",
        "update jobs set attempts = 1 returning id",
        "drop table jobs",
        "select 1; delete from jobs",
        "commit",
        "",
    ],
)
def test_sql_refuses_what_is_no_select(
    statement: str, batch_id: int, promptmill: Here, scene: Scene
) -> None:
    said = promptmill("sql", statement)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert scene.count("jobs") == 6


def test_sql_gives_all_rows_of_a_long_result(batch_id: int) -> None:
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)"
    said = typed("sql", f"{numbers} select i from n", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out.splitlines()[-1]) == {"i": 300_000}


def test_ctrl_c_ends_a_question_that_has_no_end(batch_id: int) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n)"
    question = f"{endless} select i from n where i = 0 or i > 1e18"
    asking = subprocess.Popen(
        [*PROGRAM, "sql", f"select 1 as i union all select * from ({question}) q", "--csv"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert asking.stdout is not None
    try:
        assert asking.stdout.readline() == b"i\n", "the name of the column: it is being asked"
        asking.send_signal(signal.SIGINT)
        assert asking.wait(timeout=30) in (-signal.SIGINT, 128 + signal.SIGINT)
    finally:
        asking.kill()
        asking.communicate()


def test_a_small_number_is_written_out(promptmill: Here, scene: Scene) -> None:
    assert (
        promptmill("sql", "select cast(0.000024 as double precision) as cost_usd").out
        == "cost_usd\n0.000024\n"
    )
