"""What the cache saves, and what a hit costs: one JSON object a line, with a `case` key.

    ./run bench cache [CASE ...] [--prompts N]

Each case types `promptmill run --cache` in an empty folder, with its own dispatcher, worker
processes, Valkey, SQLite and a simulator that answers in 50 ms, without limits. Calls are those of
the simulator's bill. CPU is that of the worker processes, user and system, from /proc. The last
case calls nobody: it compares labelled pairs of prompts, as `--cache-similar` does.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cache_cases.thresholds import similar_by_threshold
from benchmarks.common.command import asked_for, run_cases
from benchmarks.common.figures import at_most, judged
from benchmarks.path_cases.measured import Sample, Span, cpu_s

MODEL = "gpt-4o-mini"
_LOOK_S = 0.1


class Place:
    """A folder with a state of its own, and a simulator."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self._folder, self._url = folder, urls["url"]
        ours = {
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": urls["openai_url"],
            "PROMPTMILL_PROVIDERS__OPENAI__LIMITS__RPM": "10000000",
        }
        self._env = {**os.environ, **ours}  # noqa: TID251  handed on as it is

    def run(self, numbers: Iterable[int], *more: str) -> list[Sample]:
        """Ask the prompts of these numbers; return how far the workers were, from time to time."""
        rows = (json.dumps({"text": f"question number {number}"}) for number in numbers)
        (self._folder / "in.jsonl").write_text("\n".join(rows) + "\n")
        command = [sys.executable, "-m", "promptmill.producer", "run", "in.jsonl", "-q", "-y"]
        command += ["-m", MODEL, "-p", "Answer: {text}", "--cache", *more]
        samples = []
        with subprocess.Popen(command, cwd=self._folder, env=self._env) as process:
            while process.poll() is None:
                Event().wait(_LOOK_S)
                samples.append(self._sample())
        if process.returncode:
            msg = f"promptmill run ended with {process.returncode}"
            raise RuntimeError(msg)
        return [sample for sample in samples if sample is not None]

    def calls(self) -> int:
        """Count what is on the simulator's bill."""
        with urllib.request.urlopen(f"{self._url}/_simulator/bill", timeout=60) as reply:  # noqa: S310
            return len(json.loads(reply.read()))

    def number(self, query: str) -> int:
        """Return the one number that *query* selects."""
        path = self._folder / ".promptmill" / "promptmill.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            return int(connection.execute(query).fetchone()[0] or 0)

    def _sample(self) -> Sample | None:
        """Look at the workers once; None where there are none yet, or none any more."""
        path = self._folder / ".promptmill" / "promptmill.db"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                pids = connection.execute("select pid from workers where stopped_at is null")
                used = sum(cpu_s(pid) for (pid,) in pids.fetchall())
                done = connection.execute("select count(*) from results").fetchone()[0]
        except (OSError, sqlite3.OperationalError):
            return None
        return Sample(monotonic(), done, (used,)) if used else None


@contextmanager
def place() -> Iterator[Place]:
    """Make a place that nothing was asked in."""
    command = [sys.executable, "-m", "promptmill.simulator", "--port", "0", "--latency", "0.05"]
    with (
        tempfile.TemporaryDirectory(prefix="pm-") as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            yield Place(
                Path(folder), json.loads(process.stdout.readline() if process.stdout else "")
            )
        finally:
            process.terminate()


def half(prompts: int) -> Iterator[dict[str, Any]]:
    """Ask prompts of which half repeat, in three orders, of two worker processes."""
    once = range(prompts // 2)
    shuffled = [*once, *once]
    random.Random(7).shuffle(shuffled)
    orders = {
        "beside": [number for number in once for _ in range(2)],
        "behind": [*once, *once],
        "shuffled": shuffled,
    }
    for order, numbers in orders.items():
        with place() as here:
            here.run(numbers, "--processes", "2")
            figures = {
                "order": order,
                "prompts": len(numbers),
                "answered": here.number("select count(*) from results"),
                "different_answers": here.number("select count(distinct text) from results"),
                "calls": here.calls(),
                "hits": here.number("select sum(hits) from promptmill_usage_by_model"),
            }
            yield judged("half", figures, {"calls": at_most(len(once))})


def hit(prompts: int) -> Iterator[dict[str, Any]]:
    """Answer a batch, then the same as another batch: all of them are hits."""
    numbers = range(prompts)
    with place() as here:
        called = _span(here.run(numbers))
        calls = here.calls()
        taken = _span(here.run(numbers, "--new"))
        figures = {
            "prompts": prompts,
            "calls": calls,
            "calls_of_the_second": here.calls() - calls,
            "call_cpu_ms": called.cpu_us(0) / 1000,
            "hit_cpu_ms": taken.cpu_us(0) / 1000,
            "calls_a_second": called.jobs_a_second,
            "hits_a_second": taken.jobs_a_second,
        }
        yield judged(
            "hit", figures, {"hit_cpu_ms": at_most(1.0), "calls_of_the_second": at_most(0)}
        )


def _span(samples: Sequence[Sample]) -> Span:
    """Leave out the first and the last sixth of the answers: imports, and the end of the queue."""
    low, high = samples[0].done, samples[-1].done
    margin = (high - low) / 6
    inner = [one for one in samples if low + margin <= one.done <= high - margin]
    return Span(inner[0], inner[-1])


def similar(_prompts: int) -> Iterator[dict[str, Any]]:
    """Compare labelled pairs by the local function: what each threshold finds, and gets wrong."""
    yield from similar_by_threshold()


CASES: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "half": half,
    "hit": hit,
    "similar": similar,
}


def main() -> None:
    """Run the cases that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=10_000)
    asked = asked_for(parser, "case", list(CASES))
    sys.exit(0 if run_cases("cache", CASES, asked.chosen, asked.prompts) else 1)


if __name__ == "__main__":
    main()
