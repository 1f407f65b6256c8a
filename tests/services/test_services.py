"""The test services themselves keep what they promise."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from tests.services import network
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.warm_python import warm_python


def test_a_database_is_empty_and_can_be_written(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("create table t (i integer)"))
        connection.execute(text("insert into t values (7)"))
        assert connection.execute(text("select i from t")).scalars().all() == [7]
    engine.dispose()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_valkey_is_empty_for_each_test(valkey: Valkey, turn: int) -> None:
    assert valkey.client.dbsize() == 0
    valkey.client.set("k", turn)


def test_a_killed_valkey_starts_again_with_its_data(short_folder: Path) -> None:
    with Valkey(short_folder) as server:
        server.client.set("k", "v")
        server.kill()
        assert not server.is_up()
        server.start()
        assert server.client.get("k") == b"v"


def test_a_valkey_ends_when_its_test_process_is_killed(short_folder: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from tests.services.valkey import Valkey\n"
        "Valkey(Path(sys.argv[1])).start(); print('up', flush=True); sys.stdin.read()"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", script, str(short_folder), root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGKILL)
    server = Valkey(short_folder)
    wait_until(lambda: not server.is_up(), "the server to end with its user")
    server.client.close()


def test_a_connection_to_the_outside_is_refused() -> None:
    with socket.socket() as outside, pytest.raises(PermissionError, match="stay on this machine"):
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(PermissionError, match=r"look-up of example\.com"):
        socket.getaddrinfo("example.com", 443)
    assert len(network.attempts) == 2
    network.attempts.clear()


def test_a_child_process_is_refused_the_outside_too() -> None:
    script = "import socket; socket.create_connection(('192.0.2.1', 80))"
    said = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert "PermissionError: tests stay on this machine" in said.stderr


_SHOWN = """
import atexit, os, signal, sys
atexit.register(print, "the end")
print(__name__, sys.argv[1:], os.path.basename(sys.argv[0]), sys.path[0], os.getcwd())
print(os.environ["WORD"], "HOME" in os.environ, os.getsid(0) == os.getpid(), sys.stdin.read())
print([signal.getsignal(each) for each in (signal.SIGINT, signal.SIGCHLD)], os.listdir("/dev/fd"))
sys.exit("an error")
"""


def test_a_forked_python_is_as_one_that_was_started(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(_SHOWN)
    pythons = {name: os.environ[name] for name in os.environ if name.startswith("PYTHON")}
    env = {"WORD": "ours", **pythons}
    with (tmp_path / "log").open("wb") as output:
        forked = warm_python().start(
            "shown", "a b", env=env, folder=tmp_path, streams=2 * [output.fileno()]
        )
    assert forked.wait(30) == 1
    started = subprocess.run(
        [sys.executable, "-m", "shown", "a b"],
        check=False,
        env=env,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert (tmp_path / "log").read_bytes() == started.stdout


def test_a_forked_python_that_is_killed_says_by_what(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("import signal\nsignal.pause()")
    with (tmp_path / "log").open("wb") as output:
        forked = warm_python().start(
            "waits", env={}, folder=tmp_path, streams=2 * [output.fileno()]
        )
    assert forked.poll() is None
    forked.send_signal(signal.SIGKILL)
    assert forked.wait(30) == -signal.SIGKILL


def test_keys_of_the_developer_are_not_seen() -> None:
    assert not [name for name in os.environ if name.endswith("_API_KEY")]
    assert "REDIS_URL" not in os.environ


@given(st.integers())
def test_properties_run_with_the_common_fixtures(number: int) -> None:
    assert isinstance(number, int)


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s for rain"):
        wait_until(lambda: None, "rain", timeout=0.05)
