"""Commands that the pages show exist, with the options that they are shown with."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from promptmill.producer.cli.main import VERBS, load_verb
from tests.docs.pages import PAGES, ROOT, Page

VERB_NAMES = [verb.name for verb in VERBS]
RUN_VERBS = {"test", "check", "bench", "chaos", "pictures", "reference", "extra", "lock"}
"""what `./run` does by itself; it hands every other verb on"""
CONTINUED = re.compile(r"\\\n *")
COMMAND = re.compile(r"\s*(?:\$ )?(promptmill|\./run) (.+)")


def commands(page_: Page) -> Iterator[list[str]]:
    """Find each `promptmill …` and `./run …` of a page, as words."""
    shown = page_.spans + re.findall(r"^ {4}(\S.+)", page_.prose, re.MULTILINE)
    for language in ("sh", "console", "text", ""):
        blocks = (CONTINUED.sub(" ", block) for block in page_.blocks(language))
        shown += (line for block in blocks for line in block.splitlines())
    for line in shown:
        found = COMMAND.fullmatch(line)
        if found:
            yield [found[1], *shlex.split(found[2], comments=True)]


@cache
def options_of(verb: str) -> frozenset[str]:
    """All options of a verb, and of the verbs below it."""
    command = load_verb(next(each for each in VERBS if each.name == verb))
    below = getattr(command, "commands", {}).values()
    found = {option for each in (command, *below) for one in each.params for option in one.opts}
    return frozenset(found | {"--help", "-h"})


@pytest.mark.parametrize("page_", PAGES, ids=str)
def test_a_command_that_is_shown_has_its_verb_and_options(page_: Page) -> None:
    for program, verb, *arguments in commands(page_):
        if verb in {"VERB", "…", "--help", "--version"} or (
            program == "./run" and verb in RUN_VERBS
        ):
            continue
        assert verb in VERB_NAMES, f"{page_} shows `{program} {verb}`"
        at = arguments.index("--") if "--" in arguments else len(arguments)
        # What a schedule submits is behind the dashes.
        for of, words in ((verb, arguments[:at]), ("submit", arguments[at:])):
            given = {word.partition("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)}
            assert given <= options_of(of), f"{page_} shows `{program} {verb}` with {given}"


def test_the_pages_show_commands_at_all() -> None:
    shown = [words for each in PAGES for words in commands(each)]
    assert {words[1] for words in shown} >= {"run", "demo", "test", "sql", "worker", "resume"}


def test_run_tells_what_it_does_with_nothing_installed() -> None:
    command = [sys.executable, "-I", "-S", str(ROOT / "run"), "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout
    for verb in RUN_VERBS | {"demo"}:
        assert f"./run {verb}" in told
