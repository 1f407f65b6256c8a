"""The verbs, their help, and what it costs to ask for it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from promptmill.producer.cli.main import VERBS
from tests.cli.promptmill import PROGRAM, Here
from tests.services.valkey import Valkey
from tests.submit.inputs import write_batch

ROOT = Path(__file__).parents[2]
HEAVY = (
    *("celery", "kombu", "sqlalchemy", "alembic", "openai", "anthropic", "google.genai", "redis"),
    *("rich", "structlog", "jinja2", "genai_prices"),
)


@cache
def helped(*words: str) -> tuple[str, frozenset[str]]:
    """Ask for help in a process of its own; tell what it says, and which modules it imported."""
    return typed_alone(*words, "--help")


def typed_alone(*words: str) -> tuple[str, frozenset[str]]:
    """Type *words* in a process of its own; tell what it says, and which modules it imported."""
    script = (
        "import json, sys\nfrom promptmill.producer.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    assert end.code == 0\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"COLUMNS": "80"},
    )
    return done.stdout, frozenset(json.loads(done.stderr))


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    told, modules = helped()
    assert not set(HEAVY) & modules
    for verb in VERBS:
        assert re.search(rf"{verb.name}\s+{re.escape(verb.help)}", told), verb.name


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_the_help_of_a_verb_imports_nothing_heavy_and_fits_a_screen(verb: str) -> None:
    told, modules = helped(verb)
    assert f"promptmill {verb}" in told
    assert not set(HEAVY) & modules
    assert len(told.splitlines()) <= 52


def test_status_imports_nothing_heavy_either(
    promptmill: Here, tmp_path: Path, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", valkey.url)
    assert promptmill("submit", write_batch(tmp_path / "in.jsonl", 1)).code == 0
    told, modules = typed_alone("status")
    assert "batch 1  in.jsonl  open" in told
    assert not {*HEAVY, "psycopg", "asyncio", "dotenv"} & modules
    # A struct is made in a tenth of the time of a dataclass, and `status` would read fifty of them.
    ours = [vars(import_module(name)) for name in modules if name.startswith("promptmill.")]
    classes = {one for names in ours for one in names.values() if isinstance(one, type)}
    made = {one for one in classes if is_dataclass(one) and one.__module__ in modules}
    assert len([one for one in made if one.__module__.startswith("promptmill.")]) <= 8


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_and_option_is_in_the_docs(verb: str) -> None:
    told = section(verb) + (section("submit") if "options of [submit]" in section(verb) else "")
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", helped(verb)[0], re.MULTILINE))
    assert "--help" in options
    missing = {name for name in options - {"--help"} if f"`{name}" not in told}
    assert not missing


def section(verb: str) -> str:
    """Return the part of the page about commands that is about *verb*."""
    parts = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split("\n## ")
    return next(part for part in parts if part.startswith(f"{verb}\n"))


def test_a_mistyped_verb_is_guessed(promptmill: Here) -> None:
    said = promptmill("statsu")
    assert said.code == 2
    assert "'status'" in said.err


def test_an_option_that_is_not_there_is_refused(promptmill: Here) -> None:
    assert promptmill("ls", "--colour").code == 2


@pytest.mark.parametrize("verb", ["ls", "submit", "demo"])
def test_a_state_folder_that_cannot_be_one_is_named_without_a_traceback(
    verb: str, promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROMPTMILL_STATE_DIR", str(tmp_path / "file" / "state"))
    source = [write_batch(tmp_path / "in.jsonl", 1)] if verb == "submit" else []
    said = promptmill(verb, *source)
    assert said.code == 2
    assert str(tmp_path / "file") in said.err
    assert "PROMPTMILL_STATE_DIR" in said.err or verb == "ls"


@pytest.mark.parametrize("amount", ["0", "-5", "fast", "1.2.3"])
def test_a_limit_that_is_none_is_refused_before_anything_is_stored(
    amount: str, promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_STATE_DIR", str(tmp_path / "state"))
    said = promptmill("run", write_batch(tmp_path / "in.jsonl", 1), f"--rpm={amount}")
    assert said.code == 2
    assert f"--rpm '{amount}'" in said.err
    assert not (tmp_path / "state").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_behind_standard_output_is_told_without_a_traceback() -> None:
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run(
            [*PROGRAM, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (said.returncode, said.stderr) == (
        1,
        "error: no space is left where this was to be written\n",
    )


def test_the_version_is_told(promptmill: Here) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", promptmill("--version").out)
