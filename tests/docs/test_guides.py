"""Each guide is typed as it is printed, by one shell, against the simulator and real services."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from promptmill.producer.cli.flower import free_port
from promptmill.schema.views import VIEWS
from promptmill.simulator import Simulator
from tests.docs.pages import page
from tests.services import stand_in
from tests.services.valkey import Valkey

PREAMBLE = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
PATIENCE_S = 240
"""for some twenty commands, of which each takes a second of CPU to start"""


def typed(guide: str, places: Mapping[str, str] | None = None) -> str:
    """Collect what a guide shows to type; *places* stand for its example addresses."""
    blocks = page(f"docs/guides/{guide}.md").blocks("sh")
    script = "".join(blocks)
    for shown, here in (places or {}).items():
        assert shown in script
        script = script.replace(shown, here)
    return script


def run_script(script: str, folder: Path, simulator: Simulator, *, itself: bool = False) -> str:
    """Type *script* in *folder*; what it leaves in the background ends with it.

    The command is `promptmill` *itself*, or what stands for it, and starts in a tenth of the time.
    """
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OPENAI_BASE_URL": simulator.openai_url,
        "PROMPTMILL_PROVIDERS__OPENAI__LIMITS__RPM": "600k",
    }
    standing_in = None if itself else stand_in.install(folder / "bin")
    if standing_in:
        env |= standing_in.env
        env["PATH"] = f"{standing_in.folder}{os.pathsep}{env['PATH']}"
    shell = subprocess.Popen(
        ["bash", "-c", PREAMBLE + script],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        pass_fds=standing_in.pass_fds if standing_in else (),
    )
    try:
        told, _ = shell.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGTERM)  # what stands for `promptmill` passes it on
        with suppress(subprocess.TimeoutExpired):
            shell.communicate(timeout=10)
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        raise
    assert shell.returncode == 0, told
    return told


@pytest.mark.timeout(PATIENCE_S + 30)
def test_the_first_batch_and_a_big_one_on_a_laptop(
    short_folder: Path, simulator: Simulator
) -> None:
    script = typed("first-batch") + typed("big-batch")
    told = run_script(script, short_folder, simulator, itself=True)
    assert "4 of 4 answered" in told
    assert "batch 2" in told
    made = {"answers.csv", "report.html", "so-far.jsonl"}
    assert made <= {path.name for path in short_folder.iterdir()}
    assert len((short_folder / "answers.csv").read_text().splitlines()) == 5
    assert len((short_folder / "so-far.jsonl").read_text().splitlines()) == 4


@pytest.mark.timeout(PATIENCE_S + 30)
def test_a_budget_and_another_provider(short_folder: Path, simulator: Simulator) -> None:
    (short_folder / "reviews.csv").write_text(reviews())
    places = {"https://api.groq.com/openai/v1": simulator.openai_url}
    script = typed("budget") + typed("adding-a-provider", places)
    told = run_script(script, short_folder, simulator)
    assert "exit code 4" in told
    assert re.search(r"groq,llama-3.3-70b-versatile,4,0\.0000", told), told


@pytest.mark.timeout(PATIENCE_S + 30)
def test_watching_over_it(short_folder: Path, simulator: Simulator) -> None:
    (short_folder / "reviews.csv").write_text(reviews())
    ports = {port: str(free_port("127.0.0.1", 0)) for port in ("9464", "5555")}
    told = run_script(typed("monitoring", ports), short_folder, simulator)
    assert "4 of 4 done" in told
    assert "promptmill_answers_total" in told
    assert "user promptmill  password" in (short_folder / "flower.log").read_text()
    assert (short_folder / "report.html").exists()


@pytest.mark.timeout(PATIENCE_S + 30)
def test_postgresql(short_folder: Path, simulator: Simulator, postgres_url: str) -> None:
    places = {"postgresql+psycopg://promptmill:secret@db.internal/promptmill": postgres_url}
    told = run_script(typed("postgresql", places), short_folder, simulator)
    assert "2 of 2 answered" in told
    made, granted = page("docs/guides/postgresql.md").blocks("sql")
    assert made.startswith("create role")
    assert {view for view in VIEWS if f"{view}," in granted or f"{view} to" in granted} == {*VIEWS}
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(granted)
        connection.execute("set role analyst")
        answers = connection.execute("select count(*) from promptmill_results").fetchone()
        connection.rollback()
    assert answers == (2,)


def reviews() -> str:
    """The file that the guide of the first batch makes."""
    script = typed("first-batch")
    return script.partition("<<'END'\n")[2].partition("END\n")[0]


@pytest.mark.timeout(PATIENCE_S + 30)
def test_several_machines(
    short_folder: Path, simulator: Simulator, valkey: Valkey, postgres_url: str
) -> None:
    places = {
        "postgresql+psycopg://promptmill:secret@db.internal/promptmill": postgres_url,
        "redis://redis.internal:6379/0": valkey.url,
    }
    told = run_script(typed("several-machines", places), short_folder, simulator)
    assert "2 of 2 done" in told
