"""What is wrong with a Redis is told in words, and never by what was sent to it."""

import pytest
import redis

from promptmill.producer.bare_redis import RefusedError
from promptmill.producer.redis_trouble import trouble_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError(111, "refused"), "does not answer: ConnectionRefusedError"),
        (redis.TimeoutError("Timeout"), "does not answer: TimeoutError"),
        (RefusedError("WRONGPASS invalid username-password pair"), "refuses the password: "),
        (redis.AuthenticationError("invalid", status_code="WRONGPASS"), "refuses the password: "),
        (RefusedError("NOAUTH Authentication required."), "asks for a password: "),
        (RefusedError("LOADING Redis is loading"), "is still loading its data"),
        (redis.OutOfMemoryError("command not allowed", status_code="OOM"), "is full: "),
        (redis.ResponseError("MISCONF Redis is configured to save"), "cannot write its data"),
        (
            RefusedError("ERR unknown command 'AUTH', args: 'hidden'"),
            "refuses what it is asked (ERR)",
        ),
    ],
)
def test_an_error_is_told_in_words(error: Exception, told: str) -> None:
    assert trouble_of(error).startswith(told)
    assert "hidden" not in trouble_of(error)
