"""`promptmill doctor`: each part with a line, and what to do about those that miss."""

import fcntl
import os
from pathlib import Path
from socket import gethostname

import pytest

from promptmill.schema.database import Database
from promptmill.schema.host import host_identity, new_owner
from promptmill.schema.presence import register_worker, seize_lead
from promptmill.schema.private import private_folder
from promptmill.schema.settings import load_settings
from tests.cli.promptmill import Here, Said
from tests.schema.scene import Scene
from tests.services.valkey import Valkey

KEY = "sk-never-shown-1234567890"


def parts(said: Said) -> dict[str, dict[str, str]]:
    return {check["part"]: check for check in said.objects}


def test_all_parts_of_a_fresh_laptop_are_told_without_making_any(promptmill: Here) -> None:
    said = promptmill("doctor", "--json")
    assert said.code == 0
    found = parts(said)
    assert found["sql"]["verdict"] == "note"
    assert "promptmill submit" in found["sql"]["to_do"]
    assert found["redis"]["verdict"] == "ok"
    assert "OPENAI_API_KEY" in found["key openai"]["to_do"]
    assert not list(Path().iterdir())


def test_settings_are_named_and_keys_are_fingerprints(
    promptmill: Here, scene: Scene, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", valkey.url)
    said = promptmill("doctor")
    assert said.code == 0, said.out
    assert KEY not in said.out + said.err
    assert "OPENAI_API_KEY (environment)" in said.out
    assert "✓ key openai" in said.out
    assert "fingerprint" in said.out
    assert "none leads" in said.out


def test_the_way_to_providers_is_told_without_a_password(
    promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://mill:hidden@proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    said = promptmill("doctor", "--json")
    assert "hidden" not in said.out + said.err
    assert parts(said)["network"]["found"] == (
        "https through http://proxy.test:3128, but not to 10.0.0.0/8"
    )
    monkeypatch.setenv("SSL_CERT_FILE", "nowhere.pem")
    said = promptmill("doctor", "--json")
    assert said.code == 1
    assert "nowhere.pem: No such file" in parts(said)["network"]["found"]


def test_workers_and_the_leader_are_judged_by_their_beats(
    promptmill: Here, scene: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_WORKER__BEAT_S", "0.01")
    monkeypatch.setenv("PROMPTMILL_DISPATCH__LEADER_S", "0.05")
    with database.write() as connection:
        register_worker(
            connection,
            worker_id="w1",
            host=host_identity(),
            pid=os.getpid(),
            version="1",
            keys={"openai": "abc"},
            concurrency=7,
        )
        seize_lead(connection, "dispatch", owner=new_owner(), seen=None)
    found = parts(promptmill("doctor", "--json"))
    assert f"process {os.getpid()} for openai (key abc) is gone" in found["worker"]["found"]
    assert (
        found["dispatcher"]["found"] == f"process {os.getpid()} on {gethostname()} led and is gone"
    )


@pytest.mark.parametrize(
    ("name", "url", "part"),
    [
        ("REDIS_URL", "redis://:secret@127.0.0.1:1/0", "redis"),
        ("DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x", "sql"),
    ],
)
def test_a_service_that_is_away_is_bad_and_ill(
    name: str, url: str, part: str, promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PROMPTMILL_{name}", url)
    said = promptmill("doctor", "--json")
    assert said.code == 1
    assert parts(said)[part]["verdict"] == "bad"
    health = promptmill("doctor", "--health")
    assert health.code == 1
    assert health.err.startswith(f"{part}: ")
    assert "secret" not in said.out + said.err + health.err


def test_a_database_of_another_kind_is_bad_and_the_rest_is_told(
    promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_DATABASE_URL", "mysql://me@127.0.0.1/x")
    said = promptmill("doctor", "--json")
    assert said.code == 1
    found = parts(said)
    assert "mysql" in found["sql"]["found"]
    assert found["redis"]["verdict"] == "ok"


def test_a_healthy_container_is_silent(
    promptmill: Here, scene: Scene, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", valkey.url)
    assert promptmill("doctor", "--health") == Said(0, "", "")


def test_a_wrong_setting_is_named(promptmill: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTMILL_WORKER__BEAT", "3")
    said = promptmill("doctor")
    assert said.code == 2
    assert "worker.beat" in said.err


def test_answers_that_sql_has_not_taken_are_told(promptmill: Here, scene: Scene) -> None:
    folder = load_settings().spool_dir
    assert "nothing is left" in parts(promptmill("doctor", "--json"))["spool"]["found"]
    private_folder(folder)
    for name in ("left.spool", "held.spool", "other.refused"):
        (folder / name).write_bytes(b"{}")
    with (folder / "held.spool").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        spool = parts(promptmill("doctor", "--json"))["spool"]
    assert spool["verdict"] == "note"
    assert (
        "1 of workers that wait for SQL, 1 of processes that are gone, 1 that SQL refused"
        in (spool["found"])
    )
    assert spool["to_do"] == "start a worker that has this folder"
