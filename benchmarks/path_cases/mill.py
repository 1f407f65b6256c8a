"""Our worker at work: Celery workers as `promptmill worker` starts them, a Valkey, and SQLite.

The prompts are submitted when the block begins. Nobody dispatches: hints are published by `queue`,
as a dispatcher does it, so that workers do not wait for hints and nobody else writes to SQL.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Self

from benchmarks.limits_cases.store import Store
from benchmarks.path_cases.measured import first_line
from benchmarks.path_cases.prompts import MAX_TOKENS, MODELS, prompt
from promptmill.producer.dispatching.broker import make_sender
from promptmill.schema.broker import BULK_STEP
from promptmill.schema.database import Database
from promptmill.schema.moves.queueing import queue_pending
from promptmill.schema.settings import load_settings

_PROMPTMILL = (sys.executable, "-m", "promptmill.producer")
_STOP_S = 45.0
_LOOK_S, _WITHIN_S = 0.01, 3600.0
_CHUNK = 5000
_LISTEN = """
import redis, sys
news = redis.Redis.from_url(sys.argv[1]).pubsub()
news.psubscribe("*celeryev*")
print(news.get_message(timeout=10), flush=True)
for _ in news.listen():
    pass
"""


class Mill:
    """*workers* processes for *provider* at *url*, each with *in_flight* calls at most.

    Use it as a block: then *jobs* prompts are submitted, and nobody works yet. With *listened_to*
    somebody listens to task events, as Flower does; with *streams* answers are streamed.
    """

    def __init__(
        self,
        provider: str,
        url: str,
        *,
        jobs: int,
        in_flight: int,
        workers: int = 1,
        listened_to: bool = False,
        streams: bool = False,
    ) -> None:
        self._provider, self._url = provider, url
        self._jobs, self._in_flight, self._workers = jobs, in_flight, workers
        self._listened_to, self._streams = listened_to, streams
        self._home = tempfile.TemporaryDirectory(prefix="pm-")
        self._folder = Path(self._home.name)
        self._store = Store()
        self._listener: subprocess.Popen[bytes] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def redis_cpu_s(self) -> float:
        """CPU seconds that Valkey has used."""
        return self._store.cpu_us() / 1e6

    def queue(self, most: int) -> list[int]:
        """Queue so many jobs, and publish their hints; return the jobs' ids."""
        ids: list[int] = []
        while len(ids) < most:
            with self._database.write() as connection:
                queued = queue_pending(
                    connection,
                    batch_id=1,
                    provider=self._provider,
                    model=MODELS[self._provider],
                    most=min(most - len(ids), _CHUNK),
                )
            if not queued:
                break
            self._sender.publish([(job, BULK_STEP) for job in queued])
            ids += [job.job_id for job in queued]
        return ids

    def start(self) -> Sequence[int]:
        """Start the workers; return their process ids."""
        for number in range(self._workers):
            with (self._folder / f"log{number}").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [*_PROMPTMILL, "worker", self._provider, "-c", str(self._in_flight)],
                        cwd=self._folder,
                        env=self._env(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        return [process.pid for process in self._processes]

    def done(self) -> int:
        """Count the jobs that have their answer in SQL."""
        return self.number("select coalesce(sum(jobs), 0) from batch_counts where state = 4")

    def wait_until(self, jobs: int) -> None:
        """Wait until so many jobs are done. Raises TimeoutError with the end of the log."""
        deadline = monotonic() + _WITHIN_S
        while self.done() < jobs:
            if monotonic() > deadline or not self.is_alive():
                raise TimeoutError(self.log())
            Event().wait(_LOOK_S)

    def number(self, query: str) -> int:
        """Return the one number that *query* selects."""
        return int(self.rows(query)[0][0] or 0)

    def rows(self, query: str) -> list[tuple[float, ...]]:
        """Return what *query* selects."""
        path = self._folder / ".promptmill" / "promptmill.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    def is_alive(self) -> bool:
        """Tell whether all workers run."""
        return all(process.poll() is None for process in self._processes)

    def log(self) -> str:
        """Return the end of what the workers said."""
        logs = sorted(self._folder.glob("log*"))
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)

    def __enter__(self) -> Self:
        self._store.start()
        try:
            self._submit()
            self._open()
            if self._listened_to:
                self._listen()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _env(self) -> dict[str, str]:
        name = self._provider.upper()
        ours = {
            f"{name}_API_KEY": "sk-bench",
            f"{name}_BASE_URL": self._url,
            "PROMPTMILL_REDIS_URL": self._store.url,
            "PROMPTMILL_LOG_LEVEL": "warning",
            # Far from any bound: what is measured is the work of a job, not the wait for a limit.
            f"PROMPTMILL_PROVIDERS__{name}__CONCURRENCY": "100000",
            f"PROMPTMILL_PROVIDERS__{name}__LIMITS__RPM": "100000000",
            f"PROMPTMILL_PROVIDERS__{name}__LIMITS__TPM": "1000000000000",
        }
        return {**os.environ, **ours}  # noqa: TID251  handed on as it is

    def _submit(self) -> None:
        rows = (
            json.dumps(
                {
                    "id": str(number),
                    "messages": [{"role": "user", "content": prompt(number)}],
                    "max_tokens": MAX_TOKENS,
                }
            )
            for number in range(self._jobs)
        )
        (self._folder / "in.jsonl").write_text("\n".join(rows) + "\n")
        stream = ("-o", "stream", "true") if self._streams else ()
        self._run("submit", "in.jsonl", "-m", MODELS[self._provider], "--yes", *stream)

    def _open(self) -> None:
        state = self._folder / ".promptmill"
        settings = load_settings(state_dir=state, redis_url=self._store.url)
        self._database = Database.from_settings(settings)
        self._sender = make_sender(settings)

    def _listen(self) -> None:
        """Take task events off the wire, and do nothing with them, in a process of its own."""
        command = [sys.executable, "-c", _LISTEN, self._store.url]
        self._listener = subprocess.Popen(command, stdout=subprocess.PIPE)
        first_line(self._listener)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [*_PROMPTMILL, *arguments],
            cwd=self._folder,
            env=self._env(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"promptmill {arguments[0]} ended with {done.returncode}: {done.stderr}"
            raise RuntimeError(msg)

    def _stop(self) -> None:
        if self._listener is not None:
            self._listener.kill()
            self._listener.communicate()
        for process in self._processes:
            process.terminate()
        deadline = monotonic() + _STOP_S
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._store.__exit__(None, None, None)
        self._home.cleanup()
