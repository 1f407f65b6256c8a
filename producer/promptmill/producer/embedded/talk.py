"""What is said to a server of ours: are you there, and stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from promptmill.producer.bare_redis import BareRedis, RefusedError

_PING_S = 1.0


@contextmanager
def pinging(url: str) -> Iterator[Callable[[], bool]]:
    """Give what asks the server at *url*, over one connection, whether it answers."""

    def is_up() -> bool:
        try:
            return server.ask(("PING",)) == [b"PONG"]
        except OSError:
            return False

    server = _bare(url, timeout_s=_PING_S)
    try:
        yield is_up
    finally:
        server.close()


def shut_down(url: str, *, timeout_s: float) -> bool:
    """Tell the server to end; False: it is dead already."""
    server = _bare(url, timeout_s=timeout_s)
    try:
        server.ask(("SHUTDOWN",))
    except (RefusedError, TimeoutError):
        return False
    except OSError:
        return True  # it closes the connection, and says nothing
    finally:
        server.close()
    return False


def _bare(url: str, *, timeout_s: float) -> BareRedis:
    server = BareRedis.at(url, timeout_s=timeout_s)
    assert server is not None  # noqa: S101  we wrote the URL
    return server
