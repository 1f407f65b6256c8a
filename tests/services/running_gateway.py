"""A gateway at work: in this process, with its clients, or in one of its own that can be killed."""

import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread
from types import TracebackType
from typing import Any, Self

import httpx2
from openai import DefaultHttpxClient, OpenAI

from promptmill.gateway.server import bound, make_gateway, make_server
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings
from promptmill.schema.tenants import Scope, add_key, set_tenant_budget
from tests.services.published import hold_answer
from tests.services.running_mill import RunningMill
from tests.services.waiting import wait_until

ALL = frozenset(Scope)


class RunningGateway:
    """A server in a thread, over real HTTP. Use it as a block."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.gateway = make_gateway(settings, database)
        self.database = database
        self._socket = bound("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = make_server(self.gateway)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="gateway")
        self._open = ExitStack()

    def key(self, tenant: str = "ours", scopes: Collection[Scope] = ALL) -> str:
        """Make a key."""
        with self.database.write() as connection:
            return add_key(connection, tenant, label="", scopes=scopes)[1].reveal()

    def client(self, key: str | None = None) -> OpenAI:
        """Make OpenAI's own client for the holder of *key*, or of a new one; it never repeats.

        Whatever it is answered is held against OpenAI's published schema.
        """
        http = DefaultHttpxClient(event_hooks={"response": [hold_answer]})
        made = OpenAI(
            base_url=f"{self.url}/v1", api_key=key or self.key(), max_retries=0, http_client=http
        )
        return self._open.enter_context(made)

    def http(self, key: str | None = None, **options: Any) -> httpx2.Client:
        """Make a plain client for the holder of *key*; without one it shows none."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        made = httpx2.Client(base_url=self.url, headers=headers, timeout=30, **options)
        return self._open.enter_context(made)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started, "the gateway to serve")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._open.close()
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive(), "the gateway did not stop"


def key_of(mill: RunningMill, tenant: str, *, budget: int | None = None) -> str:
    """Make a key of a tenant; *budget*: millionths of a dollar."""
    with mill.database.write() as connection:
        _, key = add_key(connection, tenant, label="", scopes=list(Scope))
        set_tenant_budget(connection, tenant, budget)
    return key.reveal()


@contextmanager
def serving(mill: RunningMill, port: int) -> Iterator[None]:
    """Serve in another process until the end of the block; then it is killed, as by a crash."""
    command = (sys.executable, "-m", "promptmill.producer", "serve", "--port", f"{port}")
    process = mill.start_process(*command, log="serve.log")
    try:
        wait_until(lambda: _is_ready(process, port), "the server, see serve.log")
        yield
    finally:
        process.kill()
        process.wait(10)


def _is_ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    assert process.poll() is None, "the server ended"
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False
