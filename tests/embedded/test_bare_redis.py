"""Redis over a bare socket says what redis-py says, and nothing waits for it for ever."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from promptmill.producer.bare_redis import BareRedis, RefusedError
from tests.services.valkey import Valkey


@pytest.fixture
def bare(valkey: Valkey) -> Iterator[BareRedis]:
    with closing(at(valkey.url)) as asked:
        yield asked


@pytest.fixture
def said() -> Iterator[Callable[[bytes], BareRedis]]:
    """Make one whose server has said these bytes, and says no more."""
    ours, theirs = socket.socketpair()

    def saying(told: bytes) -> BareRedis:
        theirs.sendall(told)
        theirs.shutdown(socket.SHUT_WR)
        return BareRedis(lambda: ours)

    with ours, theirs:
        yield saying


def at(url: str) -> BareRedis:
    made = BareRedis.at(url, timeout_s=5)
    assert made is not None
    return made


def test_it_reads_every_kind_of_answer(bare: BareRedis, valkey: Valkey) -> None:
    odd = bytes(range(256)) + b"\r\n"
    assert bare.ask(("SET", "odd", odd), ("GET", "odd"), ("GET", "none")) == [b"OK", odd, None]
    assert bare.ask() == []
    assert bare.ask(("ZADD", "z", 1.5, "é"), ("ZCOUNT", "z", 1.25, "+inf")) == [1, 1]
    assert bare.ask(("MGET", "odd", "none"), ("KEYS", "no*")) == [[odd, None], []]
    assert bare.ask(("SCAN", 0, "MATCH", "od*", "COUNT", 1000)) == [[b"0", [b"odd"]]]
    assert valkey.client.get("odd") == odd


def test_it_goes_on_after_what_was_refused(bare: BareRedis) -> None:
    with pytest.raises(RefusedError, match="unknown command"):
        bare.ask(("NONSENSE",), ("PING",))
    assert bare.ask(("PING",)) == [b"PONG"]


def test_it_gives_user_and_password(valkey: Valkey) -> None:
    secret = "päss:w/rd"
    valkey.client.acl_setuser(
        "me", enabled=True, passwords=[f"+{secret}"], keys=["*"], categories=["+@all"]
    )
    start, path = valkey.url.split("//", 1)
    with closing(at(f"{start}//me:p%C3%A4ss%3Aw%2Frd@{path}")) as asked:
        assert asked.ask(("ACL", "WHOAMI")) == [b"me"]
    with closing(at(f"{start}//me:wrong@{path}")) as refused, pytest.raises(RefusedError):
        refused.ask(("PING",))
    valkey.client.acl_deluser("me")


@pytest.mark.parametrize(
    ("url", "greeting"),
    [
        ("redis://h", []),
        ("redis://h:1/0", []),
        ("redis://:pw@h/3", [("AUTH", "pw"), ("SELECT", "3")]),
    ],
)
def test_it_says_first_what_the_url_tells(url: str, greeting: list[tuple[str, ...]]) -> None:
    assert list(at(url).greeting) == greeting


@pytest.mark.parametrize(
    "url",
    [
        "rediss://h/0",
        "unix:///s?db=1",
        "redis://h/zero",
        "redis://me@h/0",
        "redis://h:port/0",
        "redis://h/0?protocol=3",
    ],
)
def test_what_only_redis_py_knows_is_left_to_that(url: str) -> None:
    assert BareRedis.at(url, timeout_s=5) is None


@pytest.mark.parametrize(
    "told", [b"", b"HTTP/1.1 400 Bad Request\r\n", b":one\r\n", b"$9\r\nhalf", b"*2\r\n:1\r\n"]
)
def test_half_an_answer_or_another_protocol_is_an_error(
    told: bytes, said: Callable[[bytes], BareRedis]
) -> None:
    with pytest.raises(ConnectionError):
        said(told).ask(("PING",))


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        made = BareRedis.at(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)
        assert made is not None
        with pytest.raises(TimeoutError):
            made.ask(("PING",))
