"""The verbs, their help, and what it costs to ask for it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from promptmill.producer.cli.main import VERBS
from tests.cli.promptmill import Here

ROOT = Path(__file__).parents[2]
HEAVY = ("celery", "kombu", "sqlalchemy", "alembic", "openai", "anthropic", "google.genai", "redis")


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    script = (
        "import json, sys\nfrom promptmill.producer.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n"
        "    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert not set(HEAVY) & set(modules)
    for verb in VERBS:
        assert re.search(rf"{verb.name}\s+{re.escape(verb.help)}", done.stdout), verb.name


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_help_and_a_section_in_the_docs(verb: str, promptmill: Here) -> None:
    said = promptmill(verb, "--help")
    assert said.code == 0
    assert f"promptmill {verb}" in said.out
    assert section(verb)


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_option_is_in_the_docs(verb: str, promptmill: Here) -> None:
    told = section(verb) + (section("submit") if "options of [submit]" in section(verb) else "")
    options = set(re.findall(r"│ +(?:\* +)?(--[a-z-]+)", promptmill(verb, "--help").out))
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


def test_the_version_is_told(promptmill: Here) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", promptmill("--version").out)
