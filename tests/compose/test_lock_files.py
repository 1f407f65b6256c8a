"""The lock files hold everything, with hashes, and name no place that it came from."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.services.compose import ROOT

LOCK, TEST_LOCK = ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

each_lock = pytest.mark.parametrize("path", [LOCK, TEST_LOCK], ids=["project", "tests"])


def canonical(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))


@each_lock
def test_every_requirement_is_pinned_with_hashes(path: Path) -> None:
    blocks = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE))
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9-]+(\[[^]]*\])?==\S+", block), block
        assert "--hash=sha256:" in block


@each_lock
def test_no_index_host_or_path_is_named(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links|-r /|@ ", text)
    assert text.splitlines()[1] == "#    ./run lock"


def test_the_project_lock_has_all_that_the_project_needs() -> None:
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["postgres"],
        *PROJECT["build-system"]["requires"],
    ]
    assert {canonical(name) for name in wanted} <= set(pins(LOCK.read_text()))


def test_the_test_lock_has_all_that_the_tests_need() -> None:
    wanted = [*PROJECT["dependency-groups"]["test"], "google-generativeai"]
    assert {canonical(name) for name in wanted} <= set(pins(TEST_LOCK.read_text()))


def test_both_locks_agree_on_what_they_share() -> None:
    project, tests = pins(LOCK.read_text()), pins(TEST_LOCK.read_text())
    shared = set(project) & set(tests)
    assert {name: project[name] for name in shared} == {name: tests[name] for name in shared}


def test_the_image_installs_from_the_lock_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in lines
    assert re.findall(r"^USER (.*)$", lines, re.MULTILINE) == ["10001:10001"]


def test_run_explains_itself_without_an_environment() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "./run test" in done.stdout
    assert done.stderr == ""
