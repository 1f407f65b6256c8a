"""Two worker processes against one limit, beside a bare loop over the official SDK.

    python benchmarks/two_workers.py [--prompts 1500] [--shape per_second] [--learn]

The simulator admits 50 requests a second in the shape asked for. `promptmill run --processes 2`
answers the prompts as a user types it; then a loop with a semaphore asks the same of a fresh
simulator. Both are judged by the simulator's own bill. Prints one JSON line:

    used            admitted requests a second, first to last, over the limit
    refused         requests that got a 429
    seconds         from the first request to the last
    cpu_ms          CPU of the worker processes for each job, without their start (Linux only)
    loop_failed     prompts that the loop gave up, after the SDK's own retries
"""

import argparse
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import openai

from promptmill.simulator import Shape

LIMIT = 50
"""requests a second"""
LATENCY = ("--latency", "0.3", "--latency-sigma", "0.3")
MODEL = "gpt-4o-mini"
SAMPLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Judged:
    """What the bill says."""

    used: float
    refused: int
    refused_share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """How far the workers are, and what CPU time they have used."""

    answered: int
    cpu_s: float


@contextmanager
def simulator(shape: str) -> Iterator[dict[str, str]]:
    """Run a simulator with an empty bill; yield its URLs."""
    command = [sys.executable, "-m", "promptmill.simulator", "--port", "0", *LATENCY]
    command += ["--rpm", str(LIMIT * 60), "--shape", shape]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "")
        finally:
            process.terminate()


def judge(url: str) -> Judged:
    """Read the bill of the simulator at *url*."""
    with urllib.request.urlopen(f"{url}/_simulator/bill", timeout=30) as reply:  # noqa: S310
        rows = json.loads(reply.read())
    admitted = [row["received_at"] for row in rows if row["status"] == 200]
    refused = sum(row["status"] == 429 for row in rows)
    seconds = admitted[-1] - admitted[0]
    return Judged(
        used=(len(admitted) - 1) / seconds / LIMIT,
        refused=refused,
        refused_share=refused / len(rows),
        seconds=seconds,
    )


def run_workers(urls: dict[str, str], prompts: int, *, learn: bool) -> list[Sample]:
    """Type `promptmill run` in an empty folder; watch its workers from outside."""
    with tempfile.TemporaryDirectory(prefix="pm-") as name:
        folder = Path(name)
        rows = ({"id": str(n), "text": f"question number {n}"} for n in range(prompts))
        (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [sys.executable, "-m", "promptmill.producer", "run", "in.jsonl", "--processes=2"]
        command += [
            "-m",
            MODEL,
            "-p",
            "Answer: {text}",
            *([] if learn else [f"--rpm={LIMIT * 60}"]),
        ]
        ours = {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": urls["openai_url"]}
        env = {**os.environ, **ours}  # noqa: TID251  handed on as it is
        samples = []
        with subprocess.Popen(command, cwd=folder, env=env) as process:
            while process.poll() is None:
                Event().wait(SAMPLE_S)
                samples.append(take_sample(folder / ".promptmill" / "promptmill.db"))
        if process.returncode:
            sys.exit(f"promptmill run ended with {process.returncode}")
    return [sample for sample in samples if sample is not None]


def take_sample(path: Path) -> Sample | None:
    """Look at the workers once; None while they are not all there, or where CPU cannot be read."""
    if not path.exists() or not Path("/proc/self/stat").exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            workers = connection.execute("select pid from workers").fetchall()
            ((answered,),) = connection.execute("select count(*) from results").fetchall()
        except sqlite3.OperationalError:
            return None  # no tables yet
    try:
        used = [cpu_s(pid) for (pid,) in workers]
    except OSError:
        return None  # they have ended
    return Sample(answered, sum(used)) if len(used) == 2 and answered else None


def cpu_s(pid: int) -> float:
    """Read the CPU seconds, user and system, that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_ms_of_a_job(samples: Sequence[Sample]) -> float | None:
    """Divide the CPU between the first sample and the last by the jobs between them."""
    if len(samples) < 2 or samples[0].answered == samples[-1].answered:
        return None
    jobs = samples[-1].answered - samples[0].answered
    return (samples[-1].cpu_s - samples[0].cpu_s) * 1000 / jobs


async def run_loop(urls: dict[str, str], prompts: int, concurrency: int) -> int:
    """Ask all prompts as the SDK's own examples do; return how many got no answer."""
    slots, failed = asyncio.Semaphore(concurrency), 0
    async with openai.AsyncOpenAI(api_key="sk-bench", base_url=urls["openai_url"]) as client:

        async def ask(number: int) -> None:
            nonlocal failed
            message = {"role": "user", "content": f"Answer: question number {number}"}
            async with slots:
                try:
                    await client.chat.completions.create(model=MODEL, messages=[message])  # type: ignore[list-item]
                except openai.RateLimitError:
                    failed += 1

        await asyncio.gather(*(ask(number) for number in range(prompts)))
    return failed


def compare(prompts: int, shape: str, *, learn: bool, concurrency: int) -> dict[str, Any]:
    """Run both; return the figures."""
    with simulator(shape) as urls:
        samples = run_workers(urls, prompts, learn=learn)
        ours = judge(urls["url"])
    with simulator(shape) as urls:
        failed = asyncio.run(run_loop(urls, prompts, concurrency))
        loop = judge(urls["url"])
    return {
        "case": "two_workers",
        "shape": shape,
        "limit": "learned" if learn else "told",
        "prompts": prompts,
        **{name: getattr(ours, name) for name in Judged.__slots__},
        "cpu_ms": cpu_ms_of_a_job(samples),
        **{f"loop_{name}": getattr(loop, name) for name in Judged.__slots__},
        "loop_failed": failed,
    }


def main() -> None:
    """Read the arguments and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=1500)
    parser.add_argument("--shape", choices=[shape.value for shape in Shape], default="per_second")
    parser.add_argument("--learn", action="store_true", help="do not tell the workers the limit")
    parser.add_argument("--concurrency", type=int, default=100, help="the loop's semaphore")
    chosen = parser.parse_args()
    figures = compare(
        chosen.prompts, chosen.shape, learn=chosen.learn, concurrency=chosen.concurrency
    )
    rounded = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    sys.stdout.write(json.dumps(rounded) + "\n")


if __name__ == "__main__":
    main()
