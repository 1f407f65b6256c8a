"""A folder in which somebody types promptmill's commands, and what is to be seen there after."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.simulator import Simulator
from tests.services.compose import ROOT
from tests.services.waiting import wait_until

EXAMPLES = ROOT / "examples"
KEYS = {name: f"sk-good-{name}-0123456789" for name in ("openai", "anthropic", "gemini")}
QUICK_TO_RESCUE = {
    "PROMPTMILL_WORKER__BEAT_S": "0.3",
    "PROMPTMILL_DISPATCH__SWEEP_S": "0.3",
    "PROMPTMILL_DISPATCH__LEASE_S": "3",
    "PROMPTMILL_DISPATCH__LEADER_S": "2",
}
"""seconds for what takes a minute by default"""


@dataclass(frozen=True, slots=True)
class Typed:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Running:
    """A command that was typed and may run still. Signals reach it alone, not what it started."""

    def __init__(self, process: "subprocess.Popen[bytes]", out: Path, err: Path) -> None:
        self._process, self._out, self._err = process, out, err

    @property
    def err(self) -> str:
        """What it told on stderr until now."""
        return self._err.read_text()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def family(self) -> set[int]:
        """List the process and all that it started."""
        parents = living()
        found, more = set[int](), {self._process.pid} & parents.keys()
        while more:
            found |= more
            more = {pid for pid, parent in parents.items() if parent in more} - found
        return found

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait(10)

    def ended(self, within_s: float = 60.0) -> Typed:
        """Wait for the end."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            msg = f"{self._process.args!r} did not end within {within_s:g} s:\n{self.err[-3000:]}"
            raise AssertionError(msg) from None
        return Typed(code, self._out.read_text(), self.err)


class Laptop:
    """A folder, and settings in the environment. What runs in it ends with the block."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.folder, self.simulator = folder, simulator
        self.env = {f"{name.upper()}_API_KEY": key for name, key in KEYS.items()} | {
            "OPENAI_BASE_URL": simulator.openai_url,
            "ANTHROPIC_BASE_URL": simulator.anthropic_url,
            "GEMINI_BASE_URL": simulator.gemini_url,
        }
        self.state = folder / ".promptmill"
        self.database = self.state / "promptmill.db"
        self._started: list[Running] = []
        self._connection: sqlite3.Connection | None = None

    def begin(self, *words: str | Path) -> Running:
        """Type `promptmill WORDS…`, and do not wait."""
        number = len(self._started) + 1
        out, err = (self.folder / f"typed-{number}.{end}" for end in ("out", "err"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "promptmill.producer", *map(str, words)],
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._started.append(Running(process, out, err))
        return self._started[-1]

    def promptmill(self, *words: str | Path, within_s: float = 60.0) -> Typed:
        """Type `promptmill WORDS…`, and wait for its end."""
        return self.begin(*words).ended(within_s)

    def write_prompts(self, count: int, name: str = "prompts.jsonl") -> Path:
        """Write *count* rows to ask about with `-p`."""
        rows = (
            f'{{"id": "q{n}", "text": "question number {n} of {name}"}}\n' for n in range(count)
        )
        path = self.folder / name
        path.write_text("".join(rows))
        return path

    def sql(self, statement: str) -> list[Any]:
        """Read rows from the SQLite file as any client does; none while it has no tables."""
        if self._connection is None and self.database.exists():
            found = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
            if found.execute("select 1 from sqlite_master where name = 'results'").fetchall():
                self._connection = found
            else:
                found.close()
        return [] if self._connection is None else self._connection.execute(statement).fetchall()

    def count(self, what: str) -> int:
        """Count the rows of a table or view, with its conditions."""
        rows = self.sql(f"select count(*) from {what}")
        return int(rows[0][0]) if rows else 0

    def wait_for_answers(self, count: int) -> None:
        """Wait until SQL holds *count* answers."""
        wait_until(lambda: self.count("results") >= count, f"{count} answers", timeout=40)

    def kill(self, pids: Iterable[int]) -> None:
        """End processes as a crash does, all of them."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def valkeys(self) -> list[int]:
        """List the process ids of the folder's servers that are up."""
        found = []
        for socket in self.state.rglob("redis.sock"):
            once = Retry(NoBackoff(), 0)
            client = redis.Redis(unix_socket_path=str(socket), retry=once)
            with client, suppress(redis.RedisError):
                found.append(int(client.info("server")["process_id"]))
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is not None and error is not None:
            for number, running in enumerate(self._started, 1):
                error.add_note(f"stderr of command {number}:\n{running.err[-2000:]}")
        for running in self._started:
            self.kill(running.family())
            running.ended(10)
        self.kill(self.valkeys())
        if self._connection is not None:
            self._connection.close()


def living() -> dict[int, int]:
    """Return the parent of each living process; zombies, whom nobody waited for, are dead."""
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {int(pid): int(parent) for pid, parent, stat in rows if not stat.startswith("Z")}
