import pytest

from promptmill.schema.errors import SettingsError
from promptmill.schema.redis_urls import kombu_url, redis_py_url, shown, with_password
from promptmill.schema.secret import Secret


@pytest.mark.parametrize(
    ("given", "redis_py", "kombu"),
    [
        ("redis://r:6379/2", "redis://r:6379/2", "redis://r:6379/2"),
        ("rediss://r:6379/0", "rediss://r:6379/0", "rediss://r:6379/0"),
        ("valkey://r:6379/0", "redis://r:6379/0", "redis://r:6379/0"),
        ("valkeys://r:6379/0", "rediss://r:6379/0", "rediss://r:6379/0"),
        ("unix:///run/r.sock", "unix:///run/r.sock", "redis+socket:///run/r.sock"),
        ("redis+socket:///run/r.sock", "unix:///run/r.sock", "redis+socket:///run/r.sock"),
    ],
)
def test_each_library_gets_its_own_spelling(given: str, redis_py: str, kombu: str) -> None:
    assert redis_py_url(given) == redis_py
    assert kombu_url(given) == kombu


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis://r:6379/0", "redis://:p%40%2F@r:6379/0"),
        ("redis://app@r:6379/0", "redis://app:p%40%2F@r:6379/0"),
        ("redis://:own@r:6379/0", "redis://:own@r:6379/0"),
        ("unix:///run/r.sock", "unix://:p%40%2F@/run/r.sock"),
    ],
)
def test_a_password_is_put_where_none_is_named(given: str, expected: str) -> None:
    assert with_password(given, Secret("p@/")) == expected


def test_no_password_leaves_the_url_as_it_is() -> None:
    assert with_password("redis://r/0", None) == "redis://r/0"


def test_what_is_shown_has_no_password() -> None:
    assert shown("redis://app:hidden@r:6379/0") == "redis://r:6379/0"
    assert shown("unix:///s?db=0&password=hidden") == "unix:/s?db=0"


def test_a_url_of_something_else_says_what_to_write() -> None:
    with pytest.raises(SettingsError, match="write redis://host:6379/0"):
        with_password("amqp://rabbit/", None)
