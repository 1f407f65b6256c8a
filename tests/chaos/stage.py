"""Where a fault is played: a mill of real parts, and what is measured of it."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event
from time import monotonic
from typing import Any, cast

from promptmill.schema.database import Database
from promptmill.simulator import Simulator, SimulatorConfig
from tests.services.postgres import Postgres
from tests.services.running_mill import OPENAI, RunningMill, Worker
from tests.services.sql_proxy import SqlProxy
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world, paid_again

DISPATCH = (sys.executable, "-m", "promptmill.producer", "dispatch")
DONE_S = 90.0
"""for what is left when the fault is over"""


class NotHereError(Exception):
    """This machine lacks what the fault needs; the text says what."""


@dataclass
class Figures:
    """What a fault came to, for the table."""

    lost: int = 0
    """jobs that did not end, or are gone"""
    paid_again: int = 0
    """billed answers beyond the first of a job"""
    seconds: float = 0.0
    """from the first prompt to the last end"""


class Stage:
    """Makes what a fault needs, in *folder*; all of it ends with the block of `raised`."""

    def __init__(self, folder: Path, rng: Random, open_: ExitStack, *, is_full: bool) -> None:
        self.folder, self.rng, self.figures = folder, rng, Figures()
        self.is_full, self._open = is_full, open_
        self._began = monotonic()
        self._postgres_folder, self._server = folder / "pg", cast("Postgres | None", None)

    def size(self, small: int, full: int) -> int:
        """Choose how much: for `./run chaos all`, or for one fault by its name."""
        return full if self.is_full else small

    def mill(
        self,
        *,
        latency_s: float = 0.1,
        dispatched: bool = True,
        upgraded: bool = True,
        database_url: str = "",
        vendors: Sequence[str] = (),
        **env: str,
    ) -> RunningMill:
        """Start a mill without workers; *env* is laid over its settings."""
        config = SimulatorConfig(latency_s=latency_s, seed=self.rng.randrange(2**31))
        simulator = self._open.enter_context(Simulator(config))
        valkey = self._open.enter_context(Valkey(self.new_folder()))
        mill = RunningMill(
            self.new_folder(), valkey, simulator, database_url, env, vendors, upgraded
        )
        self._open.enter_context(mill)
        self._began = monotonic()
        if dispatched:
            self.dispatch(mill)
        return mill

    def dispatch(self, mill: RunningMill, *, env: Mapping[str, str] | None = None) -> Any:
        """Start a dispatcher process; it ends with the stage."""
        process = mill.start_process(*DISPATCH, log="dispatch.log", env=env)

        def end() -> None:
            process.kill()
            process.wait(10)

        self._open.callback(end)
        return process

    def postgres_url(self) -> str:
        """Make a database in a PostgreSQL of this stage's own."""
        return self._postgres().url(self._postgres().create_database())

    def mill_behind_a_line(self, **env: Any) -> tuple[RunningMill, SqlProxy]:
        """Start a mill that reaches SQL over a line that can be cut; we look past the line."""
        postgres, folder = self._postgres(), self.new_folder()
        line = self._open.enter_context(SqlProxy(folder, self._postgres_folder))
        url = postgres.url(postgres.create_database())
        mill = self.mill(database_url=url.replace(str(self._postgres_folder), str(folder)), **env)
        mill.database.close()
        mill.database = Database(url)
        self._open.callback(mill.database.close)
        return mill, line

    def new_folder(self) -> Path:
        """Make a folder with a path that is short enough for a unix socket."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o711)
        return folder

    def closing(self, end: Callable[[], object]) -> None:
        """Call *end* when the stage ends."""
        self._open.callback(end)

    def wait_part(self, mill: RunningMill, batch: int, part: float = 0.1) -> None:
        """Wait until *part* of a batch is answered."""
        total = sum(mill.states(batch).values())
        wait_until(
            lambda: mill.states(batch).get("succeeded", 0) >= part * total,
            f"{part:.0%} of batch {batch} to be answered",
            timeout=60,
        )

    def pause(self, seconds: float) -> None:
        """Let the fault last."""
        Event().wait(seconds)

    def judge(
        self, mill: RunningMill, batch: int, *, ends: dict[str, int] | None = None, **allowed: Any
    ) -> None:
        """Wait for the end of *batch*, take the figures, and check all invariants.

        *ends*: how many jobs are to end in which state; by default all are answered.
        """
        total = mill.sql(f"select total from batches where id = {batch}")[0]["total"]
        try:
            states = mill.wait_done(batch, DONE_S)
        finally:
            self.measure(mill)
        wanted = ends or {"succeeded": total}
        assert states == wanted, f"the jobs ended as {states}, not as {wanted}"
        assert_world(mill, **allowed)

    def _postgres(self) -> Postgres:
        if self._server is None:
            self._server = self._open.enter_context(Postgres(self._postgres_folder))
        return self._server

    def measure(self, mill: RunningMill) -> None:
        accepted = "select coalesce(sum(total), 0) as n from batches where state <> 'loading'"
        loaded = mill.sql(accepted)[0]["n"]
        ended = mill.sql("select count(*) as n from jobs where state >= 4")[0]["n"]
        self.figures.lost += loaded - ended
        self.figures.paid_again += paid_again(mill)
        self.figures.seconds += monotonic() - self._began


def requests_exactly(mill: RunningMill, batch: int, wanted: int) -> None:
    """Check how many requests of *batch* reached the provider."""
    requests = mill.requests(batch)
    assert requests == wanted, f"{requests} requests, and {wanted} are enough"


@contextmanager
def suspended(*pids: int) -> Iterator[None]:
    """Stop processes for as long as the block lasts; nothing of them is closed."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def in_mid_batch(
    stage: Stage, mill: RunningMill, *, jobs: int, workers: int = 1, **load: Any
) -> tuple[int, list[Worker]]:
    """Start *workers* on a batch; return both when a tenth of it is answered."""
    crew = [mill.start_worker(OPENAI, ready=False) for _ in range(workers)]
    for worker in crew:
        mill.wait_ready(worker)
    batch = mill.load(jobs, **load)
    stage.wait_part(mill, batch)
    return batch, crew


def server_pid(valkey: Valkey) -> int:
    """Tell the process of a Valkey."""
    return int(valkey.client.info("server")["process_id"])
