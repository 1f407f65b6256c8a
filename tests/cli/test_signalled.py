"""A signal is heard wherever the main thread is, also about to wait for it."""

import subprocess
import sys

import pytest

BEGIN = """
import os, signal, sys
from promptmill.producer.cli.signalled import stop_on
"""
ABOUT_TO_WAIT = """
stop = stop_on(signal.SIGTERM)
with stop._cond:  # as Event.wait holds it for a moment
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
sys.exit(0 if stop.wait(20) else 1)
"""
TWICE = """
stop = stop_on(signal.SIGTERM, signal.SIGINT, again=lambda number: sys.exit(128 + number))
os.kill(os.getpid(), signal.SIGTERM)
assert stop.wait(20)
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(("program", "status"), [(ABOUT_TO_WAIT, 0), (TWICE, 130)])
def test_a_signal_never_hangs_who_waits_for_it(program: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN + program], timeout=60, check=False)
    assert done.returncode == status
