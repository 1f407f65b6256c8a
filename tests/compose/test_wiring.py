"""Each service's own command of docker-compose.yml, run here against real servers.

No engine is needed: compose itself resolves the file, and what it says of commands, variables,
secrets, health checks and grace times is done with local processes. Other addresses stand for the
servers, and the simulator for the providers.
"""

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import pytest
from sqlalchemy import create_engine, text

from promptmill.simulator import Simulator
from tests.compose.test_compose_file import WORKERS, seconds
from tests.services.compose import ROOT, LocalCommand, local_command, resolved
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}
STAYING = ["dispatch", *WORKERS, "flower"]
ENGINES_OWN_GRACE_S = 10.0
"""what a container gets to stop in where the file does not say"""


class Machine:
    """Stands for the one that compose would start the services on."""

    def __init__(self, folder: Path, places: Mapping[str, str], env: Mapping[str, str]) -> None:
        self.services: dict[str, dict[str, Any]] = resolved()["services"]
        self._folder, self._places, self._env = folder, places, env
        self.flower_port, self.secrets = places["5555"], Path(places["/run/secrets"])
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def up(self, name: str, *words: str) -> None:
        """Start a service; it gets *words* behind its command."""
        command = local_command(self.services[name], self._places)
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                [*command.argv, *words],
                env=self._env_of(name, command),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ended(self, name: str, within_s: float) -> int:
        """Wait for the end of a service."""
        try:
            return self._running[name].wait(within_s)
        except subprocess.TimeoutExpired as error:
            error.add_note(self.told(name))
            raise

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service, as an engine does."""
        assert self._running[name].poll() is None, f"{name} ended:\n{self.told(name)}"
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        checked = self.services[name] | {"entrypoint": None, "command": words}
        command = local_command(checked, self._places)
        done = subprocess.run(
            command.argv,
            env=self._env_of(name, command),
            cwd=self._folder,
            capture_output=True,
            check=False,
            timeout=30,
        )
        return done.returncode == 0

    @property
    def started(self) -> list[str]:
        return list(self._running)

    def stop(self, name: str) -> None:
        """Send what an engine sends first."""
        self._running[name].send_signal(signal.SIGTERM)

    def grace_s(self, name: str) -> float:
        """Tell after how long an engine would kill a service."""
        said = self.services[name].get("stop_grace_period")
        return seconds(said) if said else ENGINES_OWN_GRACE_S

    def told(self, name: str) -> str:
        """Return all that a service printed."""
        return self._log(name).read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)

    def _env_of(self, name: str, command: LocalCommand) -> dict[str, str]:
        """Give a service its own variables and its own `/data`, as the image names it."""
        state = {"PROMPTMILL_STATE_DIR": str(self._folder / name), "PROMPTMILL_LOG_FORMAT": "json"}
        return {**self._env, **state, **command.env}

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def key_of(provider: str) -> str:
    return f"sk-of-{provider}-alone"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Make the secrets as docs/operations.md says."""
    subprocess.run(["/bin/sh", ROOT / "deploy" / "secrets.sh"], cwd=tmp_path, check=True)
    folder = tmp_path / "secrets"
    for provider in MODELS:
        (folder / f"{provider}_api_key").write_text(key_of(provider))
    return folder


@pytest.fixture
def redis_address(short_folder: Path, secrets: Path) -> Iterator[str]:
    """Run a Valkey that is reached as in the file: over TCP, with the password."""
    port = free_port()
    with Valkey(short_folder) as server:
        server.client.config_set("bind", "127.0.0.1")
        server.client.config_set("port", port)
        password = (secrets / "redis_password").read_text()
        server.client.config_set("requirepass", password)
        yield f"redis://127.0.0.1:{port}/0"
        server.client.config_set("requirepass", "")


@pytest.fixture
def machine(
    tmp_path: Path, secrets: Path, redis_address: str, postgres_url: str, simulator: Simulator
) -> Iterator[Machine]:
    # A port first: what is put in for the others may have the digits in it.
    places = {
        "5555": str(free_port()),
        "redis://redis:6379/0": redis_address,
        "postgresql+psycopg://promptmill@postgres:5432/promptmill": postgres_url,
        "/run/secrets": str(secrets),
        "0.0.0.0": "127.0.0.1",  # noqa: S104
    }
    env = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH")},
        "OPENAI_BASE_URL": simulator.openai_url,
        "ANTHROPIC_BASE_URL": simulator.anthropic_url,
        "GEMINI_BASE_URL": simulator.gemini_url,
    }
    with Machine(tmp_path, places, env) as made:
        yield made


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Write a batch file of thirty lines, ten for each provider."""
    lines = [
        {
            "custom_id": f"{provider}-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": f"question {n}"}]},
        }
        for provider, model in MODELS.items()
        for n in range(10)
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def fingerprint(key: str) -> str:
    """Name a key as the simulator's bill does."""
    return sha256(key.encode()).hexdigest()[:8]


def test_the_services_wired_as_the_file_says_answer_a_batch(
    machine: Machine, postgres_url: str, prompts: Path, simulator: Simulator
) -> None:
    machine.up("migrate")
    assert machine.ended("migrate", 30) == 0, machine.told("migrate")
    for name in STAYING:
        machine.up(name, *(["--port", machine.flower_port] if name == "flower" else []))
    for name in STAYING:
        wait_until(partial(machine.is_healthy, name), f"{name} to be well", timeout=40)

    machine.up("submit", str(prompts))
    assert machine.ended("submit", 30) == 0, machine.told("submit")
    engine = create_engine(postgres_url)

    def answered() -> dict[str, int]:
        with engine.connect() as connection:
            rows = connection.execute(text("select provider, custom_id from promptmill_results"))
            return Counter(provider for provider, _custom_id in rows)

    each_ten = dict.fromkeys(MODELS, 10)
    wait_until(lambda: answered() == each_ten, "all answers", timeout=40)
    engine.dispose()
    seen = {(row.provider, row.key) for row in simulator.bill()}
    assert seen == {(provider, fingerprint(key_of(provider))) for provider in MODELS}

    stopped_at = monotonic()
    for name in STAYING:
        machine.stop(name)
    for name in STAYING:
        left_s = machine.grace_s(name) - (monotonic() - stopped_at)
        assert machine.ended(name, left_s) == 0, machine.told(name)

    secrets = [file.read_text() for file in machine.secrets.iterdir()]
    for name in machine.started:
        assert not [secret for secret in secrets if secret in machine.told(name)]
