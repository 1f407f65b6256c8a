"""CPU time and memory of processes, and how CPU a job is taken from them."""

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_LOOK_S = 0.02


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, that a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def idle_s() -> float:
    """Return the seconds that the cores of this machine have been idle, all together."""
    first = Path("/proc/stat").read_text().splitlines()[0].split()
    return (int(first[4]) + int(first[5])) * _TICK_S


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    """Wait for the first line that a process says. Raises RuntimeError where it says none."""
    said = process.stdout.readline() if process.stdout else b""
    if not said:
        msg = f"{process.args!r} said nothing"
        raise RuntimeError(msg)
    return said


@dataclass(frozen=True, slots=True)
class Sample:
    """How far the work was at a moment, and what it had cost."""

    at: float
    done: int
    cpu_s: tuple[float, ...]
    idle_s: float = 0.0
    """of all cores together"""


@dataclass(frozen=True, slots=True)
class Span:
    """What happened between two samples."""

    first: Sample
    last: Sample

    @property
    def jobs(self) -> int:
        return self.last.done - self.first.done

    @property
    def jobs_a_second(self) -> float:
        return self.jobs / (self.last.at - self.first.at)

    def cpu_us(self, process: int) -> float:
        """Return the CPU of one of the processes, in microseconds a job."""
        return (self.last.cpu_s[process] - self.first.cpu_s[process]) / self.jobs * 1e6

    @property
    def machine_busy(self) -> float:
        """Return which share of the time of all cores something was on them."""
        cores_s = (self.last.at - self.first.at) * (os.cpu_count() or 1)
        return 1 - (self.last.idle_s - self.first.idle_s) / cores_s

    def busy(self, process: int) -> float:
        """Return which share of the time one of the processes was on a core."""
        used = self.last.cpu_s[process] - self.first.cpu_s[process]
        return used / (self.last.at - self.first.at)


def watch(
    done: Callable[[], int],
    pids: Iterable[int],
    *,
    begin: int,
    end: int,
    within_s: float,
    alive: Callable[[], bool] = lambda: True,
) -> Span:
    """Measure from *begin* jobs done to *end* jobs done. Raises TimeoutError.

    Start and end of a run are left out: they are imports, first connections and the last answers.
    """
    pids = tuple(pids)

    def look() -> Sample:
        return Sample(monotonic(), done(), tuple(map(cpu_s, pids)), idle_s())

    deadline = monotonic() + within_s
    first: Sample | None = None
    while True:
        now = look()
        if first is None and now.done >= begin:
            first = now
        if first is not None and now.done >= end and now.done > first.done:
            return Span(first, now)
        if now.at > deadline or not alive():
            msg = f"{now.done} of {end} jobs were done when it stopped"
            raise TimeoutError(msg)
        Event().wait(_LOOK_S)
