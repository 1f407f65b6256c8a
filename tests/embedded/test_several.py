"""Several children that are kept alive. Clock and stop are the test's."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from structlog.testing import capture_logs

from promptmill.producer.embedded.children import Children
from promptmill.producer.embedded.several import Several
from tests.services.waiting import wait_until

NOTES_AND_WAITS = """
import signal, sys, threading, os
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')
told.wait()
open(sys.argv[1] + '.drained', 'w').close()
"""
ENDS = "raise SystemExit({code})"


class Kept:
    """Several, run in a thread."""

    def __init__(self, children: Children, count: int, folder: Path, script: str) -> None:
        self.children, self.folder, self.now, self.stop = children, folder, 0.0, Event()
        self._several = Several(
            children,
            count,
            lambda number: [sys.executable, "-S", "-c", script, str(folder / str(number))],
            {},
            clock=lambda: self.now,
        )
        self.code: int | None = None
        self._thread = Thread(target=self._run)
        self._thread.start()

    def pids(self, number: int) -> list[int]:
        path = self.folder / str(number)
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def ended(self) -> int | None:
        self.stop.set()
        self._thread.join(20)
        return self.code

    def _run(self) -> None:
        self.code = self._several.run(self.stop, grace_s=10)


@pytest.fixture
def children() -> Iterator[Children]:
    with Children(None) as group:
        yield group


def test_all_are_started_and_asked_to_end_together(children: Children, tmp_path: Path) -> None:
    kept = Kept(children, 3, tmp_path, NOTES_AND_WAITS)
    wait_until(lambda: all(kept.pids(number) for number in (1, 2, 3)), "three children")
    assert kept.ended() == 0
    assert len(list(tmp_path.glob("*.drained"))) == 3


def test_one_that_dies_is_started_again_a_second_later(children: Children, tmp_path: Path) -> None:
    kept = Kept(children, 2, tmp_path, NOTES_AND_WAITS)
    wait_until(lambda: kept.pids(1) and kept.pids(2), "two children")
    with capture_logs() as told:
        os.kill(kept.pids(2)[0], signal.SIGKILL)
        wait_until(lambda: any("again_in_s" in line for line in told), "the death to be seen")
    assert len(kept.pids(2)) == 1
    kept.now += 1.0
    wait_until(lambda: len(kept.pids(2)) == 2, "another start")
    assert len(kept.pids(1)) == 1
    assert kept.ended() == 0


def test_wrong_settings_end_all_with_their_exit_code(children: Children, tmp_path: Path) -> None:
    kept = Kept(children, 2, tmp_path, ENDS.format(code=2))
    wait_until(lambda: kept.code == 2, "the end")
    kept.ended()
