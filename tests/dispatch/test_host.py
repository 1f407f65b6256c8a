"""A process is called gone only where that is certain."""

import os
import signal
import subprocess
import sys

from promptmill.schema.host import host_identity, new_owner, owner_is_gone, process_is_gone
from tests.services.waiting import wait_until


def test_this_process_is_there() -> None:
    assert not process_is_gone(os.getpid())
    assert not owner_is_gone(new_owner())


def test_each_start_has_a_name_of_its_own() -> None:
    assert new_owner() != new_owner()
    assert host_identity() == host_identity()


def test_a_killed_process_is_gone_even_before_its_parent_has_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not process_is_gone(process.pid)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: process_is_gone(process.pid), "the process to be gone")
    assert process_is_gone(process.pid)


def test_a_name_that_is_not_ours_tells_nothing() -> None:
    assert not owner_is_gone("w1")
    assert not owner_is_gone("elsewhere/boot/0/99999999/some-uuid")
