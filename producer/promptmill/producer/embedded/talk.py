"""What is said to a server: are you there, and, to one of ours, stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from promptmill.producer.bare_redis import BareRedis, RefusedError
from promptmill.producer.redis_glance import glance_at
from promptmill.producer.redis_trouble import trouble_of

_PING_S = 1.0


@contextmanager
def pinging(url: str) -> Iterator[Callable[[], str | None]]:
    """Give what asks the server at *url*, over one connection, what is wrong; None: it answers."""

    def trouble() -> str | None:
        try:
            server.ask(("PING",))
        except server.errors as error:
            return trouble_of(error)
        return None

    server = glance_at(url, timeout_s=_PING_S)
    try:
        yield trouble
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
