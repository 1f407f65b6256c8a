"""A whole mill at work: real Redis, SQL, worker processes, dispatcher and simulator.

Times are short: what takes a minute by default takes a second or two here.
"""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, chdir, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from promptmill.producer.dispatching.dispatch import run_dispatcher
from promptmill.producer.reading.prompt import Prompt
from promptmill.schema.database import Database
from promptmill.schema.fallbacks import Rules, write_rules
from promptmill.schema.hint import queue_name
from promptmill.schema.lanes import Lane
from promptmill.schema.migrate import upgrade
from promptmill.schema.moves.loading import NewBatch, create_batch, insert_jobs, open_batch
from promptmill.schema.new_job import NewJob
from promptmill.schema.settings import Settings, load_settings
from promptmill.schema.states import JobState
from promptmill.simulator import Simulator
from tests.services.environment import clean_environment
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.warm_python import Forked, warm_python

OPENAI, ANTHROPIC, GEMINI = "openai", "anthropic", "gemini"
MODELS = {OPENAI: "gpt-4o-mini", ANTHROPIC: "claude-sonnet-4-5", GEMINI: "gemini-2.5-flash"}
ROOT = Path(__file__).parents[2]

FAST = {
    # Told, or the limiter would feel its way.
    **{f"PROVIDERS__{name.upper()}__LIMITS__RPM": "600k" for name in MODELS},
    "WORKER__BEAT_S": "0.3",
    "WORKER__GRACE_S": "10",
    "WORKER__CALL_TIMEOUT_S": "20",
    "RETRY__BASE_S": "0.05",
    "RETRY__CAP_S": "0.2",
    "RETRY__FALLBACK_AFTER_S": "0.5",
    "DISPATCH__INTERVAL_S": "0.05",
    "DISPATCH__LEASE_S": "2",
    "DISPATCH__SWEEP_S": "0.3",
    "DISPATCH__HINT_AGE_S": "0.6",
    "DISPATCH__LEADER_S": "2",
}

FAST_LANE = {
    "LANE__INTERVAL_S": "0.1",
    "LANE__POLL_S": "0.1",
    "LANE__POLL_MAX_S": "0.2",
    "LANE__SETTLE_S": "0.5",
    **{f"PROVIDERS__{name.upper()}__BATCH_API": "true" for name in MODELS},
}


@dataclass(frozen=True, slots=True)
class Worker:
    """A Celery worker process, leader of its own session, and the file of its output."""

    process: "subprocess.Popen[bytes] | Forked"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does, and wait for it to be gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait for it to end by itself; return its exit status."""
        return self.process.wait(timeout_s)

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None


@dataclass
class RunningMill:
    """Everything, in *folder*. Use it as a block; *env* is laid over the settings in `FAST`."""

    folder: Path
    valkey: Valkey
    simulator: Simulator
    database_url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    vendors: Sequence[str] = ()
    """further providers, which speak as OpenAI does"""
    upgraded: bool = True
    """False: another release makes the tables"""

    def __post_init__(self) -> None:
        self.canary = f"canary{uuid.uuid4().hex}"
        """is in every key and in every prompt, behind `key` and `prompt`"""
        self._open = ExitStack()
        self.workers: list[Worker] = []
        self._environment = self._make_environment()
        with chdir(self.folder), patch.dict(os.environ, self._environment, clear=True):
            self.settings: Settings = load_settings()
        self.database = Database.from_settings(self.settings)
        self._open.callback(self.database.close)
        if self.upgraded:
            upgrade(self.database)

    def key(self, provider: str) -> str:
        """Return the API key that workers have for *provider*."""
        return f"sk-{provider}-key{self.canary}"

    def start_worker(
        self,
        *providers: str,
        app: str = "promptmill.workers",
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        ready: bool = True,
    ) -> Worker:
        """Start `celery worker` for *providers* (all where none is named) and wait for its row."""
        queues = ",".join(queue_name(provider) for provider in providers or MODELS)
        number = len(self.workers)
        log = self.folder / f"worker-{number}.log"
        name = ["-n", f"w{number}-{uuid.uuid4().hex[:6]}@%h", "--without-mingle"]
        words = ["-A", app, "worker", "-Q", queues, "-l", "INFO", *name, "--without-gossip"]
        with log.open("wb") as output:
            process = self._start_celery(
                words, {**self._environment, **(env or {})}, output.fileno(), pass_fds
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        if ready:
            self.wait_ready(worker)
        return worker

    def _start_celery(
        self, words: Sequence[str], env: Mapping[str, str], output: int, pass_fds: Sequence[int]
    ) -> "subprocess.Popen[bytes] | Forked":
        # Elsewhere what has been imported may not survive a fork: macOS' own frameworks do not.
        if sys.platform == "linux" and not pass_fds:
            streams = (output, output)
            return warm_python().start(
                "celery", *words, env=env, folder=self.folder, streams=streams
            )
        return subprocess.Popen(
            [sys.executable, "-m", "celery", *words],
            env=env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=pass_fds,
        )

    def wait_ready(self, worker: Worker) -> None:
        """Wait until *worker* has told SQL that it is there."""

        def is_there() -> bool:
            assert not worker.has_ended, f"the worker ended:\n{worker.log.read_text()[-3000:]}"
            where = f"pid = {worker.pid} and stopped_at is null"
            return bool(self.sql(f"select 1 from workers where {where}"))

        wait_until(is_there, f"worker {worker.pid} to be ready, see {worker.log}", timeout=40)

    def start_dispatcher(self) -> Callable[[], None]:
        """Dispatch in a thread until the mill stops, or until what is returned is called."""
        stop = Event()
        thread = Thread(target=run_dispatcher, args=(self.settings, stop), name="dispatcher")
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(60)

        self._open.callback(end)
        return end

    def run_process(
        self, *argv: str, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run another process with the mill's settings to its end."""
        return subprocess.run(
            argv,
            env={**self._environment, **(env or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start_process(
        self, *argv: str, log: str, env: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start another process with the mill's settings; the caller ends it."""
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                argv,
                env={**self._environment, **(env or {})},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def load(
        self,
        count: int = 1,
        *,
        providers: Sequence[str] = (OPENAI,),
        say: str = "",
        model: str | None = None,
        on_unknown: str = "retry",
        on_invalid: str = "keep",
        priority: int = 0,
        max_failures: int | None = None,
        budget_micros: int | None = None,
        cache_s: int | None = None,
        cache_similar: float | None = None,
        truncate: str | None = None,
        fallbacks: Rules | None = None,
        max_input_tokens: int | None = None,
        lane: Lane = Lane.LIVE,
        deadline_s: float | None = None,
        different: int | None = None,
        **body: Any,
    ) -> int:
        """Load a batch of *count* prompts that contain *say*, dealt to *providers* in turn.

        So many of them are *different*, all where that is left out; the others repeat those.
        """
        jobs = [
            self._job(n, providers[n % len(providers)], model, say=say, body=body, no=n % different)
            for different in [different or count]
            for n in range(count)
        ]
        name = uuid.uuid4().hex
        batch = NewBatch(
            name=name,
            identity=name,
            input_name="prompts.jsonl",
            options="{}",
            total=count,
            on_unknown=on_unknown,
            on_invalid=on_invalid,
            priority=priority,
            max_failures=max_failures,
            budget_micros=budget_micros,
            cache_s=cache_s,
            cache_similar=cache_similar,
            truncate=truncate,
            fallbacks=write_rules(fallbacks or {}),
            max_input_tokens=max_input_tokens,
            lane=lane,
            deadline_s=deadline_s,
        )
        with self.database.write() as connection:
            batch_id = create_batch(connection, batch)
            insert_jobs(connection, batch_id, jobs)
            open_batch(connection, batch_id)
        return batch_id

    def states(self, batch_id: int) -> dict[str, int]:
        """Count the jobs of a batch by state."""
        rows = self.sql(
            f"select state, count(*) as n from jobs where batch_id = {batch_id} group by state"
        )
        return {JobState(row["state"]).word: row["n"] for row in rows}

    def wait_done(self, batch_id: int, timeout_s: float = 30.0) -> dict[str, int]:
        """Wait until every job of the batch has ended; return how."""
        open_states = {"pending", "queued", "running", "waiting"}

        def is_done() -> dict[str, int]:
            states = self.states(batch_id)
            return {} if states.keys() & open_states else states

        try:
            return wait_until(is_done, f"batch {batch_id} to end", timeout=timeout_s)
        except AssertionError as error:
            error.add_note(f"states: {self.states(batch_id)}")
            error.add_note("\n".join(worker.log.read_text()[-1500:] for worker in self.workers))
            raise

    def requests(self, batch_id: int) -> int:
        """Count what reached the simulator for a batch."""
        return sum(
            row.client_request_id.startswith(f"{batch_id}-") for row in self.simulator.bill()
        )

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Read rows."""
        with self.database.read() as connection:
            return [dict(row) for row in connection.exec_driver_sql(statement).mappings()]

    def logs(self) -> Iterable[Path]:
        """List everything that the mill's processes wrote."""
        return sorted(self.folder.glob("*.log"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            if not worker.has_ended:
                worker.kill()
        self._open.close()

    def _job(
        self,
        n: int,
        provider: str,
        model: str | None,
        *,
        say: str,
        body: Mapping[str, Any],
        no: int,
    ) -> NewJob:
        text = f"prompt{self.canary} number {no} {say}"
        request = {"messages": [{"role": "user", "content": text}], "max_tokens": 60, **body}
        prompt = Prompt(n + 1, f"row-{n}", json.dumps(request).encode(), None)
        model = model or MODELS.get(provider, MODELS[OPENAI])
        return NewJob(
            prompt.position,
            prompt.custom_id,
            provider,
            model,
            prompt.body.decode(),
            prompt.request_hash(f"{provider}/{model}"),
        )

    def _make_environment(self) -> dict[str, str]:
        with clean_environment():
            inherited = dict(os.environ)
        ours = {
            "STATE_DIR": str(self.folder),
            "REDIS_URL": self.valkey.url,
            "LOG_LEVEL": "debug",
            **FAST,
            **({"DATABASE_URL": self.database_url} if self.database_url else {}),
            **self._vendor_settings(),
            **self.env,
        }
        urls = {
            OPENAI: self.simulator.openai_url,
            ANTHROPIC: self.simulator.anthropic_url,
            GEMINI: self.simulator.gemini_url,
        }
        keys = {f"{name.upper()}_API_KEY": self.key(name) for name in urls}
        bases = {f"{name.upper()}_BASE_URL": url for name, url in urls.items()}
        paths = os.pathsep.join([inherited["PYTHONPATH"], str(ROOT)])
        named = {f"PROMPTMILL_{name}": value for name, value in ours.items()}
        return {**inherited, **keys, **bases, **named, "PYTHONPATH": paths}

    def _vendor_settings(self) -> dict[str, str]:
        return {
            f"PROVIDERS__{name.upper()}__{setting}": value
            for name in self.vendors
            for setting, value in {
                "KIND": OPENAI,
                "API_KEY": self.key(name),
                "BASE_URL": self.simulator.openai_url,
                "LIMITS__RPM": "600k",
            }.items()
        }
