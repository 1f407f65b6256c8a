"""One run of each: our mill, a bare loop, a peer. All are measured in the same way."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.path_cases.measured import Span, watch
from benchmarks.path_cases.mill import Mill
from benchmarks.path_cases.stand_in import StandIn

_HERE = Path(__file__).parent
_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for."""

    provider: str
    in_flight: int
    latency_s: float
    jobs: int
    answer_tokens: int = 24
    interval_s: float | None = None
    """from event to event of a streamed answer; None: it comes whole"""

    @property
    def begin(self) -> int:
        """Jobs done when measuring begins: connections are there, and the first crowd is over."""
        return max(self.jobs // 5, self.in_flight)

    @property
    def end(self) -> int:
        """Jobs done when measuring ends: there is still enough to do for all."""
        return self.jobs - max(self.jobs // 10, self.in_flight)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to."""

    cpu_us: float
    """of all its processes, for a job"""
    jobs_a_second: float
    simulator_busy: float
    """share of a core; near 1, the simulator is what was measured"""
    redis_us: float = 0.0
    machine_busy: float = 0.0
    """share of all cores, whoever was on them; near 1, they are what was measured"""


def run_mill(load: Load, *, workers: int = 1, listened_to: bool = False) -> Run:
    """Let our worker do it. Raises RuntimeError with the end of its log."""
    with (
        StandIn(
            latency_s=load.latency_s,
            answer_tokens=load.answer_tokens,
            interval_s=load.interval_s or 0.0,
        ) as stand_in,
        Mill(
            load.provider,
            stand_in.url(load.provider),
            jobs=load.jobs,
            in_flight=load.in_flight,
            workers=workers,
            listened_to=listened_to,
            streams=load.interval_s is not None,
        ) as mill,
    ):
        mill.queue(load.jobs)
        before = mill.redis_cpu_s
        pids = [*mill.start(), stand_in.pid]
        try:
            span = watch(
                mill.done,
                pids,
                begin=load.begin,
                end=load.end,
                within_s=_WITHIN_S,
                alive=mill.is_alive,
            )
        except TimeoutError as error:
            raise RuntimeError(mill.log()) from error
        return _run(span, redis_us=(mill.redis_cpu_s - before) / span.last.done * 1e6)


def run_bare(load: Load) -> Run:
    """Let the loop do it that people write."""
    return run_program([sys.executable, str(_HERE / "bare.py"), load.provider], load)


def run_program(command: Sequence[str], load: Load) -> Run:
    """Let *command* do it, told URL, calls, and how many at once. Raises RuntimeError."""
    with (
        StandIn(latency_s=load.latency_s) as stand_in,
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryFile() as words,
    ):
        url = stand_in.url(load.provider)
        process = subprocess.Popen(
            [*command, url, str(load.jobs), str(load.in_flight)],
            env=_env(url, home),
            stdout=words,
            stderr=subprocess.STDOUT,
        )
        try:
            span = watch(
                stand_in.answered,
                [process.pid, stand_in.pid],
                begin=load.begin,
                end=load.end,
                within_s=_WITHIN_S,
                alive=lambda: process.poll() is None,
            )
        except TimeoutError as error:
            words.seek(0)
            raise RuntimeError(words.read().decode(errors="replace")[-2000:]) from error
        finally:
            process.kill()
            process.wait()
        return _run(span)


def spread(name: str, runs: Sequence[Run]) -> dict[str, float]:
    """Return median, least and most CPU of a job."""
    seen = [run.cpu_us for run in runs]
    return {name: median(seen), f"{name}_min": min(seen), f"{name}_max": max(seen)}


def _env(url: str, home: str) -> dict[str, str]:
    """Say what programs read from there; nothing of theirs is left behind, or told to anybody."""
    theirs = {
        "HOME": home,
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": url,
        "TELEMETRY_ENABLED": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    return {**os.environ, **theirs}  # noqa: TID251  handed on as it is


def _run(span: Span, *, redis_us: float = 0.0) -> Run:
    *ours, simulator = range(len(span.first.cpu_s))
    return Run(
        cpu_us=sum(map(span.cpu_us, ours)),
        jobs_a_second=span.jobs_a_second,
        simulator_busy=span.busy(simulator),
        redis_us=redis_us,
        machine_busy=span.machine_busy,
    )
