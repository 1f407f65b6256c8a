"""What is said to a server: are you there, and, to one of ours, stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from promptmill.producer.bare_redis import BareRedis, RefusedError
from promptmill.producer.redis_glance import glance_at

_PING_S = 1.0


@contextmanager
def pinging(url: str) -> Iterator[Callable[[], bool]]:
    """Give what asks the server at *url*, over one connection, whether it answers."""

    def is_up() -> bool:
        try:
            server.ask(("PING",))
        except server.errors:
            return False
        return True

    server = glance_at(url, timeout_s=_PING_S)
    try:
        yield is_up
    finally:
        server.close()


def shut_down(url: str, *, timeout_s: float) -> bool:
    """Tell a server of ours to end; False: it hangs, or refuses to."""
    server = BareRedis.at(url, timeout_s=timeout_s)
    assert server is not None  # noqa: S101  we wrote the URL
    try:
        server.ask(("SHUTDOWN",))
    except (RefusedError, TimeoutError):
        return False
    except OSError:
        return True  # it closes the connection and says nothing, or is dead already
    finally:
        server.close()
    return False
