"""`promptmill submit` of prompts of 500 bytes beside the bare load of the same rows.

    ./run bench ingest [ENGINE ...] [--prompts N] [--rounds N]

Bare: the same rows into the same tables with the same indexes, PostgreSQL by COPY, SQLite by the
driver's executemany, 5,000 in a transaction; nothing is read, checked or hashed.
Both by turns, in processes of their own; ratios are taken round by round, and their median counts.
One JSON object a line for each engine. The exit status is 0 whatever was missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common.command import asked_for, tell
from benchmarks.common.engines import ENGINES, server_of
from benchmarks.common.figures import at_most, judged
from benchmarks.ingest_cases.prompts import write_prompts
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from tests.services.postgres import Postgres

_ROOT = Path(__file__).parents[1]
_MOST_WALL, _MOST_MB = 1.5, 200.0
_LOOK_S = 0.02


def main() -> None:
    """Measure the engines that are asked for, both by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = asked_for(parser, "engine", ENGINES)
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        prompts = Path(folder) / "prompts.jsonl"
        write_prompts(prompts, asked.prompts)
        for engine in asked.chosen:
            measured = ingest(engine, prompts, asked.prompts, asked.rounds)
            tell(measured)


def ingest(engine: str, prompts: Path, count: int, rounds: int) -> dict[str, Any]:
    """Load by turns, and compare."""
    with server_of(engine) as server:
        pairs = [(_bare(server, count), _submit(server, prompts)) for _ in range(rounds)]
    figures = {
        "engine": engine,
        "prompts": count,
        "wall_s": median(ours["wall_s"] for _, ours in pairs),
        "bare_wall_s": median(bare["wall_s"] for bare, _ in pairs),
        "cpu_us": median(ours["cpu_s"] for _, ours in pairs) / count * 1e6,
        "bare_cpu_us": median(bare["cpu_s"] for bare, _ in pairs) / count * 1e6,
        "wall_ratio": median(ours["wall_s"] / bare["wall_s"] for bare, ours in pairs),
        "cpu_ratio": median(ours["cpu_s"] / bare["cpu_s"] for bare, ours in pairs),
        "rss_mb": max(ours["rss_mb"] for _, ours in pairs),
    }
    demands = {"wall_ratio": at_most(_MOST_WALL), "rss_mb": at_most(_MOST_MB)}
    return judged("ingest", figures, demands)


def _bare(server: Postgres | None, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        url = _url(server, folder)
        command = [sys.executable, "-m", "benchmarks.ingest_cases.bare", url, str(count)]
        done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)
        measured: dict[str, float] = json.loads(done.stdout)
        return measured


def _submit(server: Postgres | None, prompts: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        url = _url(server, folder)
        database = Database(url)
        upgrade(database)
        database.close()
        env = {
            **os.environ,  # noqa: TID251  handed on as it is
            "PROMPTMILL_DATABASE_URL": url,
            "PROMPTMILL_STATE_DIR": folder,
            "PROMPTMILL_PROVIDERS__OPENAI__API_KEY": "sk-none",
        }
        command = [sys.executable, "-m", "promptmill.producer", "submit", str(prompts), "--yes"]
        began, rss_mb = monotonic(), 0.0
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            rss_mb = max(rss_mb, _rss_mb(process.pid))
            Event().wait(_LOOK_S)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            msg = f"submit ended with {process.returncode}"
            raise RuntimeError(msg)
        wall_s = monotonic() - began
        return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": rss_mb}


def _url(server: Postgres | None, folder: str) -> str:
    return server.url(server.create_database()) if server else f"sqlite:///{folder}/promptmill.db"


def _rss_mb(pid: int) -> float:
    """Read what a process and its children hold, shared pages counted in each."""
    total = 0.0
    try:
        pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for one in pids:
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) / 1024
    except FileNotFoundError:  # it has just ended
        return 0.0
    return total


if __name__ == "__main__":
    main()
