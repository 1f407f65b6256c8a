"""A long run in small: R53."""

from pathlib import Path

from promptmill.schema.states import JobState
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage
from tests.services.running_mill import MODELS
from tests.services.waiting import wait_until

MOST_GROWTH_MIB = 24.0
"""between the first fifth of a run and its end"""
MOST_MORE_FILES = 60
"""a connection for each call that may be open, and a few"""
MOST_LOG_MIB = 64.0
"""what SQLite cuts its log to (`journal_size_limit`) when it begins it anew"""


def soak(stage: Stage) -> None:
    """Memory, file handles and SQLite's log stay what they were."""
    mill = stage.mill(latency_s=0.05, WORKER__CONCURRENCY="50")
    worker = mill.start_worker()
    batch = mill.load(jobs := stage.size(3000, 200_000), providers=list(MODELS))
    samples: list[tuple[float, int]] = []

    def answered(part: float) -> bool:
        # From the counters: to count the rows themselves, again and again, is work for a core, and
        # a reader that is always there keeps SQLite from beginning its log anew.
        done = mill.sql(
            f"select coalesce(sum(jobs), 0) as n from batch_counts where batch_id = {batch}"
            f" and state = {JobState.SUCCEEDED.value}"
        )
        return bool(done[0]["n"] >= part * jobs)

    for tenth in range(2, 11):
        wait_until(lambda: answered(tenth / 10), f"{tenth} tenths", timeout=3600)  # noqa: B023
        if not worker.has_ended:
            samples.append(_sample(worker.pid))
    log = mill.folder / "promptmill.db-wal"
    size_mib = log.stat().st_size / 2**20 if log.exists() else 0.0
    stage.judge(mill, batch)
    print("MiB and open files:", *(f"{mib:.0f}/{files}" for mib, files in samples))  # noqa: T201
    growth = samples[-1][0] - samples[0][0]
    assert growth <= MOST_GROWTH_MIB, f"{growth:.0f} MiB more at the end"
    more = samples[-1][1] - samples[0][1]
    assert more <= MOST_MORE_FILES, f"{more} more open files at the end"
    assert size_mib <= MOST_LOG_MIB, f"SQLite's log has {size_mib:.0f} MiB"


def _sample(pid: int) -> tuple[float, int]:
    process = Path(f"/proc/{pid}")
    kib = process.joinpath("status").read_text().partition("VmRSS:")[2].split()[0]
    return int(kib) / 1024, len(list(process.joinpath("fd").iterdir()))


FAULTS = (Fault("R53", "soak", "a long run; memory and files are sampled", soak),)
