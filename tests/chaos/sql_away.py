"""SQL is killed, cut off, silent, busy or full: R11 to R19."""

import os
import re
import resource
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from tests.chaos.catalogue import Fault
from tests.chaos.stage import NotHereError, Stage, in_mid_batch, requests_exactly, suspended
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.waiting import wait_until


def crashed(stage: Stage) -> None:
    """PostgreSQL dies with answers in flight, and is away for longer than a lease."""
    mill = _on_a_safe_postgres(stage)
    batch, _ = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 2000)))
    _crash(stage, mill, away_s=(away_s := stage.size(5, 10)))
    stage.judge(mill, batch, away_s=away_s)
    requests_exactly(mill, batch, jobs)
    _killed_with_answers(stage)


def _killed_with_answers(stage: Stage) -> None:
    """The only worker is killed while SQL is away: what it had is on this machine's disk."""
    mill, proxy = stage.mill_behind_a_line(latency_s=1, WORKER__CONCURRENCY="20")
    worker = mill.start_worker(OPENAI)
    batch = mill.load(20)
    wait_until(lambda: mill.requests(batch) == 20, "20 open calls")
    proxy.refuse()
    bill = mill.simulator.bill
    wait_until(lambda: all(row.finished_at for row in bill()), "their answers")
    wait_until(lambda: _spooled(mill) >= 20, "the answers to be on the disk")
    worker.kill()
    proxy.heal()
    mill.start_worker(OPENAI)
    stage.judge(mill, batch)
    requests_exactly(mill, batch, 20)


def _spooled(mill: RunningMill) -> int:
    files = mill.settings.spool_dir.glob("*.spool")
    return sum(file.read_bytes().count(b'"finish_reason"') for file in files)


def spool_full(stage: Stage) -> None:
    """SQL is away, and first the spool's share of the disk, then the disk itself is full."""
    mill, proxy = stage.mill_behind_a_line(
        latency_s=0.3, WORKER__CONCURRENCY="20", WORKER__SPOOL_BYTES="1k"
    )
    batch, (worker,) = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 2000)))
    for most in (resource.RLIM_INFINITY, 0):
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        proxy.refuse()
        stage.pause(1)  # what was claimed before goes out, and ends
        before = len(mill.simulator.bill())
        stage.pause(3)
        went = len(mill.simulator.bill()) - before
        proxy.heal()
        assert went == 0, f"{went} calls were made that could not be claimed"
        stage.wait_part(mill, batch, 0.5)
    resource.prlimit(
        worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    stage.judge(mill, batch, away_s=10)
    requests_exactly(mill, batch, jobs)


def crashed_often(stage: Stage) -> None:
    mill = _on_a_safe_postgres(stage)
    batch, _ = in_mid_batch(stage, mill, jobs=(jobs := stage.size(500, 5000)), workers=2)
    for _ in range(stage.size(4, 20)):
        _crash(stage, mill, away_s=stage.rng.uniform(0, 2))
        stage.pause(stage.rng.uniform(0.5, 2))
    stage.judge(mill, batch, away_s=10)
    requests_exactly(mill, batch, jobs)


def commit_cut(stage: Stage) -> None:
    """The server commits, and the client is not told."""
    mill, proxy = stage.mill_behind_a_line(WORKER__CONCURRENCY="10")
    batch, _ = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 3000)))
    for _ in range(stage.size(10, 60)):
        proxy.commits_to_cut += 1
        wait_until(lambda: not proxy.commits_to_cut, "a commit to be cut")
        stage.pause(stage.rng.uniform(0, 0.2))
    stage.judge(mill, batch, away_s=5)
    requests_exactly(mill, batch, jobs)


def black_hole(stage: Stage) -> None:
    """Every connection there is goes silent for ever; new ones are good."""
    mill, proxy = stage.mill_behind_a_line(WORKER__CONCURRENCY="10")
    batch, _ = in_mid_batch(stage, mill, jobs=stage.size(300, 2000))
    proxy.hang()
    wait_until(
        lambda: set(mill.states(batch)) == {"succeeded"},
        "the workers to leave their silent connections",
        timeout=90,
    )
    stage.judge(mill, batch, away_s=90)


def stopped_in_a_transaction(stage: Stage) -> None:
    """A worker is suspended while it holds row locks; others go on when PostgreSQL ends it."""
    if not stage.is_full:
        msg = "takes two minutes: ./run chaos R15"
        raise NotHereError(msg)
    mill = stage.mill(database_url=stage.postgres_url(), WORKER__CONCURRENCY="5")
    batch = mill.load(100)
    victim = mill.sql("select id from jobs where custom_id = 'row-3'")[0]["id"]
    env = {"MINE": "stored", "MINE_JOB": str(victim), "MINE_SIGNAL": "SIGSTOP"}
    worker = mill.start_worker(OPENAI, app="tests.crash.crashing_app", env=env)
    stat = Path(f"/proc/{worker.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the stop")
    mill.start_worker(OPENAI)
    wait_until(lambda: mill.states(batch).get("succeeded", 0) > 80, "others to go on", timeout=150)
    worker.signal(signal.SIGCONT)
    stage.judge(mill, batch, away_s=120)


def many_writers(stage: Stage) -> None:
    """Workers, a dispatcher and a person at a prompt write one SQLite file."""
    mill = stage.mill(latency_s=0.01, WORKER__CONCURRENCY="20")
    workers = stage.size(4, 8)
    batch, crew = in_mid_batch(stage, mill, jobs=stage.size(1500, 20_000), workers=workers)
    stage.judge(mill, batch)
    locked = [worker.log.name for worker in crew if "locked" in worker.log.read_text()]
    away = [worker.log.name for worker in crew if "sql away" in worker.log.read_text()]
    assert not locked + away, f"locks were not waited for: {locked + away}"


def disk_full(stage: Stage) -> None:
    """No page more for the worker's database; then there is room again."""
    mill = stage.mill(latency_s=0.3, WORKER__CONCURRENCY="20")
    full = stage.folder / "full"
    app = "tests.crash.full_disk_app"
    worker = mill.start_worker(OPENAI, app=app, env={"FULL_DISK": str(full)})
    batch = mill.load(jobs := stage.size(300, 1500))
    stage.wait_part(mill, batch)
    full.touch()
    wait_until(lambda: "sql away" in worker.log.read_text(), "the worker to notice", timeout=30)
    stage.pause(1)
    before = mill.requests(batch)
    stage.pause(3)
    went = mill.requests(batch) - before
    full.unlink()
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)
    assert went == 0, f"{went} calls were made that could not be stored"


def fsync_fails(stage: Stage) -> None:
    """The disk refuses to sync: EIO, for three seconds, then it is well again."""
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="20")
    batch, (worker,) = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 1000)))
    _trace(stage, worker.pid, "error=EIO")
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)


def fsync_slow(stage: Stage) -> None:
    mill = stage.mill(latency_s=0.2, WORKER__CONCURRENCY="20")
    batch, (worker,) = in_mid_batch(stage, mill, jobs=(jobs := stage.size(300, 1000)))
    _trace(stage, worker.pid, "delay_exit=200000")
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)


def fsync(stage: Stage) -> None:
    fsync_fails(stage)
    fsync_slow(stage)


def _trace(stage: Stage, pid: int, what: str) -> None:
    strace = shutil.which("strace")
    if strace is None:
        msg = "needs strace"
        raise NotHereError(msg)
    log = stage.folder / f"strace-{what}"
    calls = "fsync,fdatasync"
    command = [strace, "-f", "-qq", "-p", str(pid), "-o", str(log), "-e", f"trace={calls}"]
    tracer = subprocess.Popen([*command, "-e", f"inject={calls}:{what}"], stderr=subprocess.PIPE)
    try:
        stage.pause(4)
        if tracer.poll() is not None:
            msg = "needs the right to trace a process"
            raise NotHereError(msg)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
    assert re.search("INJECTED|DELAYED", log.read_text()), "nothing was synced in these seconds"


def _on_a_safe_postgres(stage: Stage) -> RunningMill:
    url = stage.postgres_url()
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        # The tests' server may forget what it committed last when it crashes, unless told so.
        name = sql.Identifier(connection.info.dbname)
        told = sql.SQL("alter database {} set synchronous_commit = on").format(name)
        connection.execute(told)
    return stage.mill(latency_s=0.3, database_url=url, WORKER__CONCURRENCY="20")


def _crash(stage: Stage, mill: RunningMill, *, away_s: float) -> None:
    """Kill every server process but the first, which stands still, then recovers."""
    with psycopg.connect(_plain(str(mill.settings.sql_url)), autocommit=True) as connection:
        rows = connection.execute("select pid from pg_stat_activity").fetchall()
        ours = connection.info.backend_pid
        data = connection.execute("show data_directory").fetchall()[0][0]
    first = int((Path(data) / "postmaster.pid").read_text().splitlines()[0])
    with suspended(first):
        for (pid,) in rows:
            if pid != ours:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        stage.pause(away_s)
    # What we ask at the end of the test needs a server.
    wait_until(lambda: _is_up(mill), "PostgreSQL to recover", timeout=30)


def _is_up(mill: RunningMill) -> bool:
    try:
        psycopg.connect(_plain(str(mill.settings.sql_url)), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _plain(url: str) -> str:
    return re.sub(r"^postgresql\+psycopg", "postgresql", url)


FAULTS = (
    Fault("R11", "postgres_crashes", "PostgreSQL killed, away for longer than a lease", crashed),
    Fault("R12", "commit_cut", "COMMIT is done, and its answer cut", commit_cut),
    Fault("R13", "postgres_crashes_often", "PostgreSQL killed again and again", crashed_often),
    Fault("R14", "sql_black_hole", "all SQL connections go silent in mid query", black_hole),
    Fault("R15", "stopped_in_commit", "a worker suspended in its commit", stopped_in_a_transaction),
    Fault("R16", "many_writers", "eight processes write one SQLite file", many_writers),
    Fault("R17", "disk_full", "no room for SQLite, then room again", disk_full),
    Fault("R18", "fsync_fails", "fsync: EIO for 4 s, 200 ms each for 4 s", fsync),
    Fault("R19", "spool_full", "SQL away, and no room for the spool", spool_full),
)
