"""The Redis configuration that is shipped, on a real server."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.producer.embedded.binaries import bundled_binary
from promptmill.schema.broker import broker_options
from promptmill.schema.redis_urls import kombu_url, with_password
from promptmill.schema.secret import Secret
from promptmill.schema.settings import load_settings
from promptmill.simulator import Simulator
from tests.services.compose import ROOT
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

ACL = ROOT / "deploy" / "redis" / "acl.conf.example"
FOLDER = ROOT / "deploy" / "redis"


@pytest.fixture
def guarded(short_folder: Path) -> Iterator[str]:
    """A server with the user of the example; the URL that this user has."""
    with Valkey(short_folder) as server:
        for line in ACL.read_text().splitlines():
            match = re.fullmatch(r"user (promptmill\S*) (.*)", line)
            if match:
                say(server.client, f"ACL SETUSER {match[1]} {match[2]}")
        yield server.url.replace("unix://", "unix://promptmill@")


def test_celery_works_as_the_user_of_the_example(guarded: str) -> None:
    url = kombu_url(with_password(guarded, Secret("CHANGE-ME")))
    options = broker_options(load_settings())
    with (
        Connection(url, transport_options=options) as connection,
        connection.SimpleQueue("promptmill.openai") as queue,
    ):
        queue.put("hint")
        assert queue.get(timeout=5).payload == "hint"
    with Celery(broker=url) as app:
        app.conf.broker_transport_options = options
        assert app.control.ping(timeout=0.1) == []


def test_the_user_of_the_example_reaches_nothing_else(guarded: str) -> None:
    url = with_password(guarded, Secret("CHANGE-ME"))
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        for command in ("FLUSHALL", "KEYS *", "CONFIG GET *", "SHUTDOWN", "GET other:key"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                say(client, command)
        assert client.set("promptmill:k", "v")


def test_worker_and_dispatcher_do_with_the_rights_of_their_own_users(
    guarded: str, valkey: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    def of(part: str) -> str:
        return guarded.replace("promptmill@", f"promptmill-{part}:CHANGE-ME@")

    with RunningMill(tmp_path, valkey, simulator, env={"REDIS_URL": of("dispatcher")}) as mill:
        mill.simulator.add_fault("rate", count=1)
        mill.start_dispatcher()
        worker = mill.start_worker(OPENAI, env={"PROMPTMILL_REDIS_URL": of("worker")})
        assert mill.wait_done(mill.load(20)) == {"succeeded": 20}
        assert "NOPERM" not in worker.log.read_text()
    with redis.Redis.from_url(of("dispatcher"), retry=Retry(NoBackoff(), 0)) as client:
        (limits,) = client.scan_iter("promptmill:limits-*:account")
        assert client.get(limits)
        for command in (f"DEL {limits.decode()}", "GET other:key"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                say(client, command)
    with redis.Redis.from_url(of("flower"), retry=Retry(NoBackoff(), 0)) as client:
        assert client.info()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.lpush("promptmill:promptmill.openai", "a forged hint")


def test_the_start_script_takes_the_password_from_its_file(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs, data = tmp_path / "bin", tmp_path / "data"
    programs.mkdir()
    data.mkdir()
    bundled = bundled_binary()
    assert bundled is not None
    (programs / "valkey-server").symlink_to(bundled)
    (tmp_path / "redis_password").write_text("from-the-file")
    places = {
        "/etc/promptmill/redis.conf": str(tmp_path / "redis.conf"),
        "/run/secrets": str(tmp_path),
        "/tmp/redis.conf": str(tmp_path / "made.conf"),  # noqa: S108
    }
    script = (FOLDER / "start.sh").read_text()
    for there, here in places.items():
        script = script.replace(there, here)
    configuration = (FOLDER / "redis.conf").read_text()
    configuration = configuration.replace("port 6379", f"port {port}")
    configuration = configuration.replace("bind * -::*", "bind 127.0.0.1")
    (tmp_path / "redis.conf").write_text(configuration.replace("dir /data", f'dir "{data}"'))
    path = os.pathsep.join([str(programs), str(Path(shutil.which("cat") or "/bin/cat").parent)])
    with (
        redis.Redis(port=port, password="from-the-file", retry=Retry(NoBackoff(), 0)) as client,
        subprocess.Popen(
            ["/bin/sh", "-c", script], env={"PATH": path}, stdout=subprocess.DEVNULL
        ) as server,
    ):
        try:
            wait_until(lambda: answers(client), "the server to take the password")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert (tmp_path / "made.conf").stat().st_mode & 0o777 == 0o600
        finally:
            server.terminate()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def say(client: redis.Redis, command: str) -> None:
    client.execute_command(*command.split())  # type: ignore[no-untyped-call]
