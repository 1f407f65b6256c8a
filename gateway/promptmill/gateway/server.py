"""The server: what `promptmill serve` runs."""

import signal
import socket

import structlog
import uvicorn

from promptmill.gateway.answering import Answering
from promptmill.gateway.app import make_app
from promptmill.gateway.context import Gateway
from promptmill.gateway.folder import FileFolder
from promptmill.gateway.rates import Rates
from promptmill.gateway.wire import heads_within
from promptmill.producer.opening import opened
from promptmill.schema.database import SERVICE_PATIENCE_S, Database
from promptmill.schema.errors import ServiceError
from promptmill.schema.logs import configure_logging
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.settings import Settings
from promptmill.workers.event_loop import EventLoop

_log = structlog.get_logger(__name__)
_KEEP_ALIVE_S = 65
"""of a connection between requests: longer than load balancers keep theirs, which would otherwise
send into one that closes"""
FOLDER = "gateway"
"""below the folder of files"""
_CACHE_BYTES = 1 << 20
"""of the database, for each of the connections of many requests: each reads a few rows"""


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that are open then may end.

    Raises SettingsError where what masks personal data is not installed: no client could mend that.
    """
    configure_logging(settings)
    finder_of(settings.pii)
    opening = opened(settings, create=True, patience_s=SERVICE_PATIENCE_S, cache_bytes=_CACHE_BYTES)
    with opening as database:
        gateway = make_gateway(settings, database)
        with bound(host, port) as listening:
            _log.info("gateway serves", url=f"http://{host}:{listening.getsockname()[1]}/v1")
            # uvicorn takes both signals while it runs, and raises them again after its warm stop.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            make_server(gateway).run(sockets=[listening])


def make_gateway(settings: Settings, database: Database) -> Gateway:
    """Make the gateway of these settings; nothing is connected yet."""
    folder = FileFolder(settings.files_folder / FOLDER)
    return Gateway(settings, database, folder, Rates(settings), Answering(settings))


def make_server(gateway: Gateway) -> uvicorn.Server:
    """Make the server of *gateway*."""
    limits = gateway.settings.gateway
    return uvicorn.Server(
        uvicorn.Config(
            make_app(gateway),
            http=heads_within(limits.idle_s),
            loop=f"{EventLoop.__module__}:{EventLoop.__qualname__}",  # live calls are booked on it
            lifespan="on",
            log_config=None,
            access_log=False,  # the door writes it
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_graceful_shutdown=round(limits.grace_s),
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )


def bound(host: str, port: int) -> socket.socket:
    """Listen on *host* and *port*; 0 takes a free one. Raises ServiceError where nobody can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0].lower()
        msg = f"the gateway cannot listen on {host}:{port}: {why}; choose another --port or --host"
        raise ServiceError(msg) from None
    # Its connections have it from here. asyncio sets it on those only that it listened for itself,
    # and without it the body of an answer waits 40 ms for the client's word that the head came.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
