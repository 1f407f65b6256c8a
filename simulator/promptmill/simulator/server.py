"""A simulator that listens: on the caller's event loop, or in a thread of its own for tests."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from promptmill.simulator.batches.desk import Desk
from promptmill.simulator.bill import Row, Summary
from promptmill.simulator.config import SimulatorConfig
from promptmill.simulator.connection import Connection
from promptmill.simulator.control import Change, Control, changed
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Fault, Kind

T = TypeVar("T")
_START_S = 10.0


class Addresses:
    """Where a simulator is reached, as each SDK wants its base URL."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.openai_url = f"{self.url}/v1"
        self.anthropic_url = self.url
        self.gemini_url = self.url


class Listener:
    """A listening socket and its connections, on the running event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Addresses:
        """Listen. Raises OSError if the port is taken."""
        control, desk = Control(self._engine), Desk(self._engine)
        config = self._engine.config
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._engine, control, desk, self._connections),
            config.host,
            config.port,
            backlog=4096,
        )
        return Addresses(config.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more and drop all connections; open calls stay unanswered."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.abort()
            await self._server.wait_closed()


class Simulator:
    """A simulator in a thread of its own. Every method may be called from any thread."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self._engine = Engine(config or SimulatorConfig())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._addresses: Addresses | None = None

    def __enter__(self) -> Self:
        started = threading.Event()
        problem: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._serve(started))
            except OSError as error:
                problem.append(error)
                started.set()

        self._thread = threading.Thread(target=run, name="simulator", daemon=True)
        self._thread.start()
        if not started.wait(_START_S):
            msg = f"the simulator did not start within {_START_S:.0f} s"
            raise TimeoutError(msg)
        if problem:
            raise problem[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._loop = None

    @property
    def url(self) -> str:
        """Base URL without any path."""
        return self._where().url

    @property
    def openai_url(self) -> str:
        """`base_url` for OpenAI's SDK."""
        return self._where().openai_url

    @property
    def anthropic_url(self) -> str:
        """`base_url` for Anthropic's SDK."""
        return self._where().anthropic_url

    @property
    def gemini_url(self) -> str:
        """`base_url` (google-genai) or `api_endpoint` (google-generativeai) for Gemini's SDKs."""
        return self._where().gemini_url

    def bill(self) -> list[Row]:
        """Return all kept rows, oldest first."""
        return self._ask(lambda: list(self._engine.bill.rows()))

    def summary(self) -> Summary:
        """Return all totals."""
        return self._ask(self._engine.bill.summary)

    def clear_bill(self) -> None:
        """Begin a new bill."""
        self._ask(self._engine.bill.clear)

    def add_fault(self, kind: Kind | str, **conditions: object) -> None:
        """Add a rule; *conditions* are the fields of `Fault`."""
        fault = Fault(kind=str(kind), **conditions)  # type: ignore[arg-type]
        self._ask(lambda: self._engine.add_faults([fault]))

    def clear_faults(self) -> None:
        """Drop all rules."""
        self._ask(self._engine.clear_faults)

    def configure(self, **changes: object) -> None:
        """Change fields of the configuration; see `Change`. Changed limits begin unused."""
        change = Change(**changes)  # type: ignore[arg-type]
        self._ask(lambda: self._engine.configure(changed(self._engine.config, change)))

    async def _serve(self, started: threading.Event) -> None:
        listener = Listener(self._engine)
        self._addresses = await listener.start()
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        started.set()
        await self._stop.wait()
        await listener.stop()

    def _where(self) -> Addresses:
        if self._addresses is None:
            msg = "the simulator has not started; use it as a context manager"
            raise RuntimeError(msg)
        return self._addresses

    def _ask(self, question: Callable[[], T]) -> T:
        """Run *question* on the simulator's loop; directly while it does not run."""
        if self._loop is None:
            return question()

        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(_START_S)
