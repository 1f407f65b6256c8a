import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from kombu import Connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.producer.embedded.binaries import Binary, bundled_binary, find_binaries
from promptmill.producer.embedded.valkey import RedisPlace, ensure_redis
from promptmill.schema.errors import ServiceError
from promptmill.schema.secret import Secret
from promptmill.schema.settings import Settings, load_settings
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

USER = """
import sys
from pathlib import Path
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.schema.settings import load_settings
place = ensure_redis(load_settings(state_dir=Path(sys.argv[1])))
print(place.label, flush=True)
sys.stdin.read()
place.close()
"""


@pytest.fixture
def settings(short_folder: Path) -> Settings:
    return load_settings(state_dir=short_folder / "state")


@pytest.fixture
def bundled() -> Binary:
    return next(find_binaries(bundled_binary, lambda _: None))


@pytest.fixture
def places() -> Iterator[ExitStack]:
    """Closes what a test opens, so that its server ends also when the test fails."""
    with ExitStack() as stack:
        yield stack


def client(place: RedisPlace) -> redis.Redis:
    return redis.Redis.from_url(place.url, retry=Retry(NoBackoff(), 0))


def answers(place: RedisPlace) -> bool:
    with client(place) as connection:
        try:
            return bool(connection.ping())
        except redis.RedisError:
            return False


def start_user(settings: Settings) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(settings.state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def label_of(user: "subprocess.Popen[str]") -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def test_the_bundled_server_is_started_where_there_is_none(
    settings: Settings, places: ExitStack
) -> None:
    place = places.enter_context(ensure_redis(settings))
    assert place.label.startswith("valkey ")
    assert place.label.endswith("(bundled), started")
    with client(place) as connection:
        options = connection.config_get("*")
    expected = {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "list-compress-depth": "1",
        "port": "0",
    }
    assert {name: options[name] for name in expected} == expected


def test_celery_and_redis_py_reach_the_same_server(settings: Settings, places: ExitStack) -> None:
    place = places.enter_context(ensure_redis(settings))
    with Connection(place.kombu_url) as connection, connection.SimpleQueue("q") as queue:
        queue.put("hint")
        with client(place) as other:
            assert other.llen("q") == 1


def test_a_folder_name_with_a_blank_works(short_folder: Path, places: ExitStack) -> None:
    settings = load_settings(state_dir=short_folder / 'my "state" folder')
    place = places.enter_context(ensure_redis(settings))
    with Connection(place.kombu_url) as connection:
        connection.ensure_connection(max_retries=1)


def test_the_last_one_out_stops_it(settings: Settings, places: ExitStack) -> None:
    first = places.enter_context(ensure_redis(settings))
    second = places.enter_context(ensure_redis(settings))
    assert second.label.endswith("already running")
    first.close()
    assert answers(second)
    second.close()
    assert not answers(second)


def test_racing_starters_share_one_server(settings: Settings) -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(start_user(settings)) for _ in range(4)]
        labels = sorted(label_of(user).rpartition(", ")[2] for user in users)
        for user in users:
            user.communicate()
    assert labels == ["already running", "already running", "already running", "started"]
    assert not (settings.state_dir / "redis" / "redis.sock").exists()


def test_a_server_whose_users_were_killed_is_found_again(
    settings: Settings, places: ExitStack
) -> None:
    with start_user(settings) as user:
        assert label_of(user).endswith("started")
        user.send_signal(signal.SIGKILL)
    place = places.enter_context(ensure_redis(settings))
    assert place.label.endswith("already running")
    place.close()
    assert not answers(place)


def test_a_child_that_inherits_the_share_keeps_the_server(
    settings: Settings, places: ExitStack
) -> None:
    place = places.enter_context(ensure_redis(settings))
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, pass_fds=place.keep_fds) as child:
        place.close()
        assert answers(place)
        child.communicate()
    again = places.enter_context(ensure_redis(settings))
    assert again.label.endswith("already running")


def test_a_killed_server_comes_back_with_its_data(settings: Settings, places: ExitStack) -> None:
    place = places.enter_context(ensure_redis(settings))
    with client(place) as connection:
        connection.set("k", "v")
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)
    wait_until(lambda: not answers(place), "the server to be gone")
    again = places.enter_context(ensure_redis(settings))
    assert again.label.endswith("started")
    with client(again) as connection:
        assert connection.get("k") == b"v"


@pytest.mark.parametrize("folder", ["state", "x" * 100], ids=["socket", "port"])
def test_a_server_that_died_is_revived_where_its_users_look_for_it(
    short_folder: Path, places: ExitStack, folder: str
) -> None:
    place = places.enter_context(ensure_redis(load_settings(state_dir=short_folder / folder)))
    assert not place.revive(), "it is up"
    for life in range(2):
        with client(place) as connection:
            connection.set(f"life {life}", "v")
            os.kill(connection.info("server")["process_id"], signal.SIGKILL)
        wait_until(lambda: not answers(place), "the server to be gone")
        assert place.revive()
        assert answers(place)
    with client(place) as connection:
        assert connection.get("life 0") == b"v"
    place.close()
    assert not answers(place)


def test_a_server_that_died_takes_another_port_where_somebody_has_its_own(
    short_folder: Path, places: ExitStack
) -> None:
    settings = load_settings(state_dir=short_folder / ("x" * 100))
    place = places.enter_context(ensure_redis(settings))
    with client(place) as connection:
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)
    wait_until(lambda: not answers(place), "the server to be gone")
    port = int(place.url.rpartition(":")[2].removesuffix("/0"))
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(ServiceError, match=r"port of valkey .* was taken"):
            place.revive()
        place.close()
        other = places.enter_context(ensure_redis(settings))
        assert other.url != place.url
        assert answers(other)
        other.close()
        assert not answers(other)


def test_another_server_never_reads_the_data_of_the_first(
    settings: Settings, bundled: Binary, places: ExitStack
) -> None:
    with ensure_redis(settings) as place, client(place) as connection:
        connection.set("k", "v")
    other = replace(bundled, flavour="redis", version="7.0.15")
    place = places.enter_context(ensure_redis(settings, binaries=[other]))
    with client(place) as connection:
        assert connection.dbsize() == 0


def test_a_server_that_does_not_start_is_passed_over(
    settings: Settings, bundled: Binary, tmp_path: Path, places: ExitStack
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'cannot load a library'\nexit 1\n")
    broken.chmod(0o700)
    candidates = [replace(bundled, path=broken), bundled]
    place = places.enter_context(ensure_redis(settings, binaries=candidates))
    assert answers(place)


def test_a_server_that_does_not_start_is_quoted(
    settings: Settings, bundled: Binary, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'cannot load a library'\nexit 1\n")
    broken.chmod(0o700)
    with pytest.raises(ServiceError, match="cannot load a library"):
        ensure_redis(settings, binaries=[replace(bundled, path=broken)])


def test_no_server_at_all_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(ServiceError, match="set PROMPTMILL_REDIS_URL"):
        ensure_redis(settings, binaries=[])


def test_a_path_too_long_for_a_socket_becomes_a_port_with_a_password(
    short_folder: Path, places: ExitStack
) -> None:
    settings = load_settings(state_dir=short_folder / ("x" * 100))
    place = places.enter_context(ensure_redis(settings))
    assert place.url.startswith("redis://:")
    assert places.enter_context(ensure_redis(settings)).url == place.url
    port = int(place.url.rpartition(":")[2].removesuffix("/0"))
    with (
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


def test_what_it_writes_is_for_its_owner_only(settings: Settings, places: ExitStack) -> None:
    places.enter_context(ensure_redis(settings))
    home = settings.state_dir / "redis"
    modes = {path.name: path.stat().st_mode & 0o077 for path in home.iterdir()}
    assert {name for name, others in modes.items() if others} == set()
    assert home.stat().st_mode & 0o777 == 0o700
    assert settings.state_dir.stat().st_mode & 0o777 == 0o700


def test_a_server_that_is_named_is_used_and_not_asked(short_folder: Path) -> None:
    settings = load_settings(
        state_dir=short_folder,
        redis_url="redis://nowhere.invalid:6379/0",
        redis_password=Secret("hidden"),
    )
    with ensure_redis(settings) as place:
        assert place.url == "redis://:hidden@nowhere.invalid:6379/0"
        assert place.label == "redis://nowhere.invalid:6379/0"
        assert "hidden" not in repr(place)
        assert place.keep_fds == ()
        assert not place.revive()
    assert list(short_folder.iterdir()) == []


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0?protocol=2"])
def test_a_server_that_is_named_and_does_not_answer_is_told(url: str, settings: Settings) -> None:
    told = trouble(settings, url)
    assert told is not None
    assert told.startswith(f"the Redis at {url}, which PROMPTMILL_REDIS_URL names, does not answer")


@pytest.mark.parametrize("option", ["", "?protocol=2"])
@pytest.mark.parametrize(
    ("login", "what"),
    [
        ("", None),
        ("me:hidden@", "refuses the password: PROMPTMILL_REDIS_PASSWORD or the URL has to hold it"),
        (":hidden@", "has no password, and one was given"),
    ],
)
def test_a_server_that_refuses_the_password_is_not_called_silent(
    login: str, what: str | None, option: str, settings: Settings, valkey: Valkey
) -> None:
    start, path = valkey.url.split("//", 1)
    told = trouble(settings, f"{start}//{login}{path}{option}")
    if what is None:
        assert told is None
    else:
        assert told is not None
        assert what in told
        assert "hidden" not in told


def test_the_bundled_server_is_in_no_trouble(settings: Settings, places: ExitStack) -> None:
    assert places.enter_context(ensure_redis(settings)).trouble() is None


def trouble(settings: Settings, url: str) -> str | None:
    with ensure_redis(settings.model_copy(update={"redis_url": url})) as place:
        return place.trouble()
