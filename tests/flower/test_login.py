"""Flower is closed without a password, and can look at everything and touch nothing."""

import socket
import subprocess
import sys

import pytest

from promptmill.producer.cli.flower import choose_login
from promptmill.schema.errors import SettingsError
from promptmill.schema.settings import load_settings
from tests.flower.conftest import Watched

PAGES = ("/", "/workers", "/workers?json=1", "/tasks", "/tasks/datatable", "/task/job-1", "/broker")
EVERYWHERE = "0.0.0.0"  # noqa: S104  what is tested
API = ("/api/workers", "/api/tasks", "/api/task/info/job-1", "/api/queues/length")
OPEN = ("/metrics", "/healthcheck", "/static/js/flower.js")


@pytest.mark.parametrize("login", ["", "promptmill:wrong"])
@pytest.mark.parametrize("path", [*PAGES, *API])
def test_a_page_is_closed_without_the_password(watched: Watched, path: str, login: str) -> None:
    assert watched.flower.get(path, login=login).status == 401


@pytest.mark.parametrize("path", OPEN)
def test_flower_leaves_these_open_to_all(watched: Watched, path: str) -> None:
    assert watched.flower.get(path, login="").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/worker/shutdown/{worker}",
        "/api/worker/pool/shrink/{worker}?n=1",
        "/api/worker/queue/cancel-consumer/{worker}?queue=promptmill.openai",
        "/api/task/revoke/job-10",
        "/api/task/async-apply/promptmill.complete.openai",
    ],
)
def test_nothing_can_be_changed_from_flower(watched: Watched, path: str) -> None:
    reply = watched.flower.post(path.format(worker=watched.worker))
    assert (reply.status, reply.text) == (403, "Read only mode is enabled")


def test_a_configuration_in_the_working_folder_is_not_run(watched: Watched) -> None:
    assert (watched.mill.folder / "flowerconfig.py").exists()
    assert not (watched.mill.folder / "flowerconfig.ran").exists()


def test_without_a_password_flower_listens_on_loopback_only() -> None:
    done = _promptmill_flower("--host", EVERYWHERE)
    assert done.returncode == 2
    assert "Flower on 0.0.0.0 needs a password: set PROMPTMILL_FLOWER_BASIC_AUTH" in done.stderr


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _promptmill_flower("--port", str(port))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: Flower cannot listen on 127.0.0.1:{port}: Address already in use;"
        " choose another --port\n"
    )


def test_a_redis_that_does_not_answer_is_told_before_flower_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", "redis://127.0.0.1:1/0")
    command = [sys.executable, "-m", "promptmill.producer", "flower", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as flower:
        assert flower.stderr is not None
        _address, trouble, until = (flower.stderr.readline() for _ in range(3))
        flower.kill()
    assert trouble == (
        "the Redis at redis://127.0.0.1:1/0, which PROMPTMILL_REDIS_URL names,"
        " does not answer: ConnectionRefusedError\n"
    )
    assert until == "  until it answers, Flower shows no worker and no task\n"


@pytest.mark.parametrize("login", ["justaword", ":password", "user:", "user:pass,word", "user:pä"])
def test_a_login_that_flower_would_read_otherwise_is_refused(login: str) -> None:
    settings = load_settings(flower_basic_auth=login)
    with pytest.raises(SettingsError, match="PROMPTMILL_FLOWER_BASIC_AUTH is not user:password"):
        choose_login(settings, "127.0.0.1")


@pytest.mark.parametrize("login", ["user:password", "one:a:b,two:c"])
def test_a_login_of_ones_own_opens_it_to_others(login: str) -> None:
    assert choose_login(load_settings(flower_basic_auth=login), EVERYWHERE) == login


def test_a_password_that_is_made_up_is_new_each_time() -> None:
    made = {choose_login(load_settings(), "127.0.0.1") for _ in range(2)}
    assert len(made) == 2


def _promptmill_flower(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "promptmill.producer", "flower", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
