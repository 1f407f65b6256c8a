"""`promptmill submit`: what it prints, and what it refuses."""

import gzip
from pathlib import Path

import pytest

from promptmill.schema.settings import Settings
from tests.cli.promptmill import Here, typed
from tests.schema.scene import Scene
from tests.submit.inputs import asking, batch_line, write_batch, write_lines

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""for what is decided before SQL is asked"""

GOOD = '{"custom_id": "a", "body": {"messages": [{"role": "user", "content": "hi"}]}}'
WRONG = {
    "broken JSON": (GOOD.replace('"hi"}]}}', '"hi"'), "not JSON", "whole JSON object"),
    "not a number": (GOOD.replace("{", '{"x": NaN, ', 1), "NaN", "null"),
    "NUL": (GOOD.replace("hi", "h\\u0000i"), "NUL", "remove"),
    "no messages": (GOOD.replace("messages", "message"), "messages", "write"),
    "duplicate custom_id": (GOOD.replace("hi", "ho"), "that of line 1", "of its own"),
    "oversize": (GOOD.replace("hi", "h" * (17 << 20)), "longer than", "one prompt a line"),
    "unknown provider": (GOOD.replace('"body": {', '"body": {"model": "x/y", '), "'x'", "known"),
}


@sqlite_only
@pytest.mark.parametrize("name", WRONG)
def test_a_bad_line_is_refused_with_its_place_and_nothing_is_stored(
    name: str, promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    line, problem, fix = WRONG[name]
    good = GOOD.replace('"body": {', '"body": {"model": "gpt-4o", ')
    line = line if "model" in line else line.replace('"body": {', '"body": {"model": "gpt-4o", ')
    source = write_lines(tmp_path / "in.jsonl", good, line)
    said = promptmill("submit", source)
    assert said.code == 2
    assert said.out == ""
    assert problem in said.err
    assert fix in said.err
    assert len(said.err) < 1000
    assert f"error: {source}, line 2: " in said.err
    assert [scene.count(table) for table in ("batches", "jobs", "job_payloads")] == [0, 0, 0]


@sqlite_only
@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "no such file"), (b"", "nothing in it"), (b"\n \n", "nothing in it")],
    ids=["missing", "empty", "blank"],
)
def test_an_input_without_prompts_is_refused(
    content: bytes | None, complaint: str, promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    if content is not None:
        source.write_bytes(content)
    said = promptmill("submit", source, "-m", "gpt-4o")
    assert (said.code, said.out) == (2, "")
    assert f"error: {source}: " in said.err
    assert complaint in said.err
    assert scene.count("batches") == 0


@sqlite_only
@pytest.mark.parametrize(
    "options",
    [
        ("-m", "nobody/x"),
        ("-p", "{text}", "-t", "file"),
        ("-t", "missing.txt"),
        ("-p", "{{ text"),
        ("-o", "stream", "often"),
        ("-o", "seed"),
        ("--priority", "500"),
        ("--limit", "0"),
        ("--on-unknown", "maybe"),
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_refused_without_a_traceback(
    options: tuple[str, ...], promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    said = promptmill("submit", write_batch(tmp_path / "in.jsonl", 1), *options)
    assert (said.code, said.out) == (2, "")
    assert "Traceback" not in said.err
    assert scene.count("batches") == 0


@sqlite_only
def test_the_id_goes_to_stdout_and_the_rest_to_stderr(scene: Scene, tmp_path: Path) -> None:
    source = write_batch(tmp_path / "in.jsonl", 3)
    first, again = typed("submit", source), typed("submit", source)
    assert (first.code, first.out, first.err) == (
        0,
        "1\n",
        "3 prompts stored as batch 1: in.jsonl (OpenAI Batch lines)\n",
    )
    assert (again.code, again.out) == (0, "1\n")
    assert again.err.startswith("3 prompts submitted before, as batch 1")
    assert typed("submit", source, "--new", "--json").objects == [
        {"batch_id": 2, "name": "in.jsonl", "total": 3, "how": "new"}
        | {"kind": "OpenAI Batch lines", "goes_on": False, "twins": 0}
    ]
    assert scene.count("jobs") == 6


def test_rows_are_filled_into_templates_with_options(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    rows = ({"sku": "k1", "text": "ok"}, {"sku": "k2", "text": "bad"}, {"sku": "k3", "text": "x"})
    source = write_lines(tmp_path / "in.jsonl", *rows)
    template = tmp_path / "ask.txt"
    template.write_text("Is {{ text }} good?\n", encoding="utf-8")
    options = ("-m", "claude-haiku-4-5", "-t", template, "-s", "Be brief", "--id-column", "sku")
    more = ("-o", "temperature", "0.2", "-o", "stop", '["\\n"]', "--limit", "2", "--name", "mine")
    said = promptmill("submit", source, *options, *more, "--priority", "7", "--on-unknown", "hold")
    assert said.code == 0, said.err
    (batch,) = scene.sql("select name, priority, on_unknown, total from batches")
    assert vars(batch) == {"name": "mine", "priority": 7, "on_unknown": "hold", "total": 2}
    jobs = scene.sql(
        "select custom_id, cast(body as text) as body from jobs j, job_payloads p"
        " where p.job_id = j.id order by j.id"
    )
    assert [job.custom_id for job in jobs] == ["k1", "k2"]
    assert jobs[0].body == (
        '{"messages":[{"content":"Be brief","role":"system"},'
        '{"content":"Is ok good?","role":"user"}],"stop":["\\n"],"temperature":0.2}'
    )


@sqlite_only
def test_standard_input_can_be_submitted(scene: Scene, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", batch_line("a"))
    said = typed("submit", "-", stdin=source.read_text(encoding="utf-8"))
    assert said.code == 0, said.err
    assert scene.sql("select input_name from batches")[0].input_name == "standard input"
    assert not list((tmp_path / "state" / "spool").iterdir())


@sqlite_only
def test_submit_does_not_ask_redis(
    promptmill: Here, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", "redis://127.0.0.1:1/0")
    assert promptmill("submit", write_batch(tmp_path / "in.jsonl", 1)).code == 0
    assert scene.count("jobs") == 1


def test_the_first_submit_on_a_laptop_makes_the_database(promptmill: Here, tmp_path: Path) -> None:
    assert promptmill("ls").code == 2
    assert not (tmp_path / ".promptmill").exists()
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(write_batch(tmp_path / "in.jsonl", 2).read_bytes()))
    assert promptmill("submit", packed).out == "1\n"
    assert (tmp_path / ".promptmill" / "promptmill.db").exists()
    assert promptmill("ls", "--json").objects[0]["total"] == 2


def test_a_server_database_is_not_upgraded_by_submit(
    promptmill: Here, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_DATABASE_URL", postgres_url)
    source = write_batch(tmp_path / "in.jsonl", 1)
    said = promptmill("submit", source)
    assert said.code == 1
    assert "run `promptmill db upgrade`" in said.err
    assert promptmill("db", "upgrade", "--json").objects[0]["database"] == "postgresql"
    assert promptmill("submit", source).code == 0


def test_a_database_that_is_away_is_told_without_its_password(
    promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_DATABASE_URL", "postgresql://me:tell-nobody@127.0.0.1:1/db")
    said = promptmill("submit", write_batch(tmp_path / "in.jsonl", 1))
    assert said.code == 1
    assert "Connection refused" in said.err
    assert "tell-nobody" not in said.err
    assert "Traceback" not in said.err


@sqlite_only
def test_the_shared_options_make_a_request(settings: Settings, tmp_path: Path) -> None:
    from promptmill.producer.cli.verbs.request import Pair, read_request

    source = write_batch(tmp_path / "in.jsonl", 1)
    made = read_request(source=str(source), model=["gpt-4o", "o3"], option=[Pair("seed", "1")])
    assert made.reading == asking(source, model="gpt-4o", parameters={"seed": 1}).reading
    assert made.also == ("o3",)


@sqlite_only
def test_one_is_told_in_the_singular(
    promptmill: Here, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_batch(tmp_path / "in.jsonl", 1)
    assert promptmill("submit", source).err.startswith("1 prompt stored as batch 1")
    assert promptmill("estimate", source).err.startswith("1 prompt of ")
    assert promptmill("status").out.splitlines()[1].startswith("1 prompt of ")
    exported = promptmill("export", "-o", "out.csv").err
    assert exported.startswith("0 answers of batch 1 to out.csv; 1 prompt has none")
    assert "cancelled: 1 prompt will" in promptmill("cancel", 1).err
    assert promptmill("prune", 1, "--yes").err.startswith("pruned 1 batch: 1 prompt\n")
