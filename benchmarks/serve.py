"""The gateway under what its largest file and many clients ask of it.

    ./run bench serve [CASE ...] [--lines N] [--clients N] [--seconds N] [--examples N]

    upload    OpenAI's client puts in 50,000 lines, 182 MB, and orders them: until they are
              validated; the most memory of the server, of the process that reads for it, and the
              sum of both: pages that they share count twice in it
    polling   100 clients that each ask once a second how far a batch is, while real workers answer
              it by the simulator: milliseconds of their waits
    faults    schemathesis asks for all that /openapi.json describes, beside workers that answer:
              how many of its calls the server failed; it is installed when it is first needed

`promptmill serve` is a process of its own. One JSON object a line for each case. The exit status is
0 whatever was missed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

import httpx2
import structlog
from openai import OpenAI

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.child import PROMPTMILL
from benchmarks.common.command import asked_for, run_cases
from benchmarks.common.figures import at_most, judged, percentile
from benchmarks.peer_cases.environment import make_environment
from benchmarks.serve_cases import clients
from benchmarks.serve_cases.fuzz import REQUIREMENT, fuzz
from promptmill.producer.cli.flower import free_port
from promptmill.schema.tenants import Scope, add_key
from promptmill.simulator import Simulator, SimulatorConfig
from tests.gateway.orders import CHAT, line
from tests.services.running_mill import MODELS, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

_TEXT_BYTES = 3480
"""of a prompt: its line then has some 3,640, and 50,000 of them 182 MB"""
_MOST_MB, _MOST_MS = 120.0, 100.0
_LOOK_S = 0.02
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    lines: int
    clients: int
    seconds: float
    examples: int


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is up."""

    process: "subprocess.Popen[bytes]"
    mill: RunningMill
    url: str
    key: str


def main() -> None:
    """Measure the cases that are asked for, both by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--examples", type=int, default=100, help="calls of each operation")
    asked = asked_for(parser, "case", list(_CASES))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout: JSON
    plan = Plan(asked.lines, asked.clients, asked.seconds, asked.examples)
    run_cases("serve", _CASES, asked.chosen, plan)


def upload(plan: Plan) -> Iterator[dict[str, Any]]:
    """Put the largest file in, and have it validated."""
    with served() as place, OpenAI(base_url=f"{place.url}/v1", api_key=place.key) as client:
        prompts = place.mill.folder / "prompts.jsonl"
        _write(prompts, plan.lines)
        at_rest = _peak_mb(place.process.pid)
        began = monotonic()
        with prompts.open("rb") as file:
            stored = client.files.create(file=file, purpose="batch")
        uploaded = monotonic()
        uploaded_mb = _peak_mb(place.process.pid)
        with _watched(place.process.pid) as readers:
            batch = client.batches.create(
                input_file_id=stored.id, endpoint=CHAT, completion_window="24h"
            )
            wait_until(
                lambda: client.batches.retrieve(batch.id).status == "in_progress",
                "the file to be validated",
                timeout=_PATIENCE_S,
            )
        rss, reader_rss = _peak_mb(place.process.pid), max(readers.values(), default=0.0)
        figures = {
            "lines": plan.lines,
            "file_mb": stored.bytes / 1e6,
            "upload_s": uploaded - began,
            "validation_s": monotonic() - uploaded,
            "rss_at_rest_mb": at_rest,
            "rss_after_upload_mb": uploaded_mb,
            "rss_mb": rss,
            "reader_rss_mb": reader_rss,
            "together_mb": rss + reader_rss,
        }
        yield judged("upload", figures, {"together_mb": at_most(_MOST_MB)})


def polling(plan: Plan) -> Iterator[dict[str, Any]]:
    """Ask again and again, beside workers that answer."""
    with served() as place, OpenAI(base_url=f"{place.url}/v1", api_key=place.key) as client:
        place.mill.simulator.configure(latency_s=0.5)
        place.mill.start_dispatcher()
        place.mill.start_worker(*MODELS, env={"PROMPTMILL_WORKER__CONCURRENCY": "50"})
        prompts = place.mill.folder / "prompts.jsonl"
        _write(prompts, round(120 * plan.seconds), text_bytes=300)
        with prompts.open("rb") as file:
            stored = client.files.create(file=file, purpose="batch")
        batch = client.batches.create(
            input_file_id=stored.id, endpoint=CHAT, completion_window="24h"
        )
        wait_until(lambda: client.batches.retrieve(batch.id).status == "in_progress", "it to begin")
        before = _cpu_s(place.process.pid)
        waits = _looks(place, batch.id, plan)
        cpu_s = _cpu_s(place.process.pid) - before
        counts = client.batches.retrieve(batch.id).request_counts
        figures = {
            "clients": plan.clients,
            "looks": len(waits),
            "p50_ms": 1000 * percentile(waits, 0.5),
            "p99_ms": 1000 * percentile(waits, 0.99),
            "most_ms": 1000 * waits[-1],
            "cpu_ms_a_look": 1000 * cpu_s / len(waits),
            "answered_meanwhile": counts.completed if counts else 0,
        }
        yield judged("polling", figures, {"p99_ms": at_most(_MOST_MS)})


def faults(plan: Plan) -> Iterator[dict[str, Any]]:
    """Let schemathesis look for a request that the server fails at."""
    python, why = make_environment(REQUIREMENT)
    if python is None:
        yield {"case": "faults", "skipped": why}
        return
    with served() as place, OpenAI(base_url=f"{place.url}/v1", api_key=place.key) as client:
        place.mill.start_dispatcher()
        place.mill.start_worker(*MODELS)
        told = fuzz(
            python,
            place.url,
            place.key,
            known=_known(client),
            examples=plan.examples,
            folder=place.mill.folder,
        )
    found = [*told["failures"], *told["errors"]]
    figures = {
        "operations": told["operations"]["tested"],
        "calls": told["test_cases"]["generated"],
        "faults": len(found),
        "took_s": told["running_time"],
    }
    yield judged("faults", figures, {"faults": at_most(0)}, found=found)


def _known(client: OpenAI) -> dict[str, list[str]]:
    """Make some of everything, and name it."""
    files = [
        client.files.create(file=("a.jsonl", line("a", model).encode()), purpose="batch").id
        for model in MODELS.values()
    ]
    orders = [
        client.batches.create(input_file_id=file, endpoint=CHAT, completion_window="24h").id
        for file in files
    ]
    upload = client.uploads.create(
        bytes=9, filename="b.jsonl", mime_type="text/jsonl", purpose="batch"
    )
    part = client.uploads.parts.create(upload.id, data=("p", b"123456789"))
    return {
        "path.file_id": files,
        "path.batch_id": orders,
        "path.upload_id": [upload.id],
        "path.model": [*MODELS.values(), "openai/"],
        "query.after": [*files, *orders],
        "body.input_file_id": files,
        "body.completion_window": ["24h", "168h", "0h"],
        "body.model": [*MODELS.values(), "text-embedding-3-small", "nobody/x"],
        "body.part_ids[*]": [part.id],
    }


def _looks(place: Served, batch_id: str, plan: Plan) -> list[float]:
    url = f"{place.url}/v1/batches/{batch_id}"
    command = [sys.executable, clients.__file__, url, place.key, f"{plan.clients}"]
    done = subprocess.run([*command, f"{plan.seconds}"], capture_output=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return sorted(found)


@contextmanager
def served() -> Iterator[Served]:
    """Start the server, in a folder of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="pm-") as folder,
        Valkey(Path(folder)) as valkey,
        Simulator(SimulatorConfig()) as simulator,
        RunningMill(Path(folder), valkey, simulator, env={"LOG_LEVEL": "info"}) as mill,
    ):
        port = free_port("127.0.0.1", 0)
        process = mill.start_process(*PROMPTMILL, "serve", "--port", str(port), log="serve.log")
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _is_ready(url), "the server")
            with mill.database.write() as connection:
                _, key = add_key(connection, "bench", label="", scopes=list(Scope))
            yield Served(process, mill, url, key.reveal())
        finally:
            process.terminate()
            process.wait(30)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def _watched(pid: int) -> Iterator[dict[int, float]]:
    """Look for the most memory of each process that *pid* starts."""
    found = dict[int, float]()
    done = Event()

    def look() -> None:
        while not done.wait(_LOOK_S):
            for child in _children(pid):
                # The last look counts: until it is another program, a child has its parent's.
                found[child] = _peak_mb(child) or found.get(child, 0.0)

    thread = Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _peak_mb(pid: int) -> float:
    """Read the most memory that a process had; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _cpu_s(pid: int) -> float:
    """Read how long a process has been at work."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _write(path: Path, count: int, *, text_bytes: int = _TEXT_BYTES) -> None:
    words = ("rate limits of small towns near the water " * 100)[:text_bytes]
    with path.open("w") as file:
        for number in range(count):
            file.write(line(f"row-{number}", MODELS["openai"], f"{number:08d} {words}") + "\n")


_CASES: Final = {"upload": upload, "polling": polling, "faults": faults}

if __name__ == "__main__":
    os.chdir(tempfile.gettempdir())
    main()
