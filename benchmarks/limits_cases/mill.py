"""A whole mill in a folder of its own: Celery workers, a dispatcher and SQLite, by commands."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Self

from benchmarks.limits_cases.store import Store

_PROMPTMILL = (sys.executable, "-m", "promptmill.producer")
_READY_S, _STOP_S = 90.0, 45.0
_POLL_S = 0.25


class Mill:
    """*workers* processes for the provider `openai` at *openai_url*, told *limits*. Use as a block.

    Everybody is there before the first prompt is: what is measured has no start of a process in it.
    """

    def __init__(self, openai_url: str, *, limits: Mapping[str, float], workers: int) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="pm-")
        self._folder = Path(self._home.name)
        self._store = Store()
        self._limits, self._count = limits, workers
        self._processes: list[subprocess.Popen[bytes]] = []
        ours = {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": openai_url}
        self._env = {**os.environ, **ours}  # noqa: TID251  handed on as it is

    def answer(self, prompts: int, *, within_s: float) -> None:
        """Submit so many prompts, and wait until each has ended. Raises TimeoutError."""
        rows = (json.dumps({"id": str(n), "text": f"question {n}"}) for n in range(prompts))
        (self._folder / "in.jsonl").write_text("\n".join(rows) + "\n")
        self._run("submit", "in.jsonl", "-m", "gpt-4o-mini", "-p", "Answer: {text}")

        def all_ended() -> bool:
            return self.number("select count(*) from jobs where finished_at is not null") == prompts

        self._wait_for(all_ended, f"{prompts} prompts to end", within_s)

    def number(self, query: str) -> int:
        """Return the one number that *query* selects; 0 before there are tables, or for null."""
        path = self._folder / ".promptmill" / "promptmill.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            ((found,),) = connection.execute(query).fetchall()
        return int(found or 0)

    def __enter__(self) -> Self:
        self._store.start()
        try:
            self._write_settings()
            self._run("db", "upgrade")
            for _ in range(self._count):
                self._start("worker", "openai")
            self._start("dispatch")
            self._wait_for(self._is_there, "the workers and the dispatcher to start", _READY_S)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _write_settings(self) -> None:
        lines = [f'redis_url = "{self._store.url}"', "[providers.openai.limits]"]
        lines += [f"{name} = {value}" for name, value in self._limits.items()]
        (self._folder / "promptmill.toml").write_text("\n".join(lines) + "\n")

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [*_PROMPTMILL, *arguments],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"promptmill {arguments[0]} ended with {done.returncode}: {done.stderr}"
            raise RuntimeError(msg)

    def _start(self, *arguments: str) -> None:
        with (self._folder / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [*_PROMPTMILL, *arguments],
                    cwd=self._folder,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _is_there(self) -> bool:
        workers = self.number("select count(*) from workers where stopped_at is null")
        return workers == self._count and self.number("select count(*) from leaders") > 0

    def _wait_for(self, is_so: Callable[[], Any], what: str, within_s: float) -> None:
        deadline = monotonic() + within_s
        while not is_so():
            ended = any(process.poll() is not None for process in self._processes)
            if ended or monotonic() > deadline:
                why = "a process ended" if ended else f"it took more than {within_s:.0f} s"
                log = (self._folder / "log").read_text(errors="replace")[-3000:]
                msg = f"waiting for {what}: {why}; the end of the log:\n{log}"
                raise TimeoutError(msg)
            Event().wait(_POLL_S)

    def _stop(self) -> None:
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
