"""`./run bench peers` runs a peer beside us, and says so where one cannot be had."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.path_cases.plan import Plan
from benchmarks.peer_cases.beside import beside
from benchmarks.peer_cases.roster import PEERS, Peer

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "peers.py"


@pytest.mark.long
def test_a_line_tells_what_a_job_costs_here_and_there() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "aiohttp", "--rounds", "1", "--jobs", "400"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (told,) = map(json.loads, done.stdout.splitlines())
    assert told["case"] == "aiohttp"
    assert told["cpu_us"] > 0
    assert told["peer_cpu_us"] > 0


def test_a_peer_that_cannot_be_installed_is_skipped_with_a_word() -> None:
    nobody = Peer("nobody", (), "nobody @ file:///nowhere")
    (told,) = beside(nobody)(Plan())
    assert "nobody @ file:///nowhere could not be installed" in told["skipped"]


def test_every_program_of_a_peer_is_there() -> None:
    assert all(Path(peer.program[0]).is_file() for peer in PEERS)
