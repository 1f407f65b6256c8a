"""Of several dispatchers one works, and another takes over when it stands still."""

import os
import subprocess
import sys

from promptmill.schema.host import host_identity
from promptmill.schema.leader import Lead
from tests.dispatch.mill import Mill


def lead(mill: Mill, owner: str) -> Lead:
    return Lead(mill.database, role="r", owner=owner, patience_s=10, clock=mill.now)


def test_of_two_dispatchers_one_works(mill: Mill) -> None:
    mill.scene.load(500)
    mill.worker(concurrency=40)
    first, second = mill.dispatcher("d1"), mill.dispatcher("d2")
    assert first.round().hints == 40
    mill.scene.claim(*mill.take())
    assert second.round().hints == 0
    assert first.round().hints == 40


def test_the_next_takes_over_when_the_leader_stands_still(mill: Mill) -> None:
    first, second = lead(mill, "d1"), lead(mill, "d2")
    assert first.hold()
    taken_at = 0.0
    for passed in mill.pass_time(20, step=1):
        if passed <= 5:
            assert first.hold()
        if second.hold():
            taken_at = passed
            break
    assert 15 <= taken_at <= 18
    assert not first.hold()


def test_a_leader_that_beats_stays(mill: Mill) -> None:
    first, second = lead(mill, "d1"), lead(mill, "d2")
    for _ in mill.pass_time(60, step=1):
        assert first.hold()
        assert not second.hold()


def test_a_standby_that_was_suspended_takes_nothing_over(mill: Mill) -> None:
    first, second = lead(mill, "d1"), lead(mill, "d2")
    assert first.hold()
    assert not second.hold()
    mill.scene.clock.advance(3600)
    assert not second.hold()
    assert first.hold()


def test_an_outage_of_sql_takes_nothing_over(mill: Mill) -> None:
    first, second = lead(mill, "d1"), lead(mill, "d2")
    assert first.hold()
    assert not second.hold()
    for _ in mill.pass_time(60, step=2):
        assert not second.hold()
        second.missed()


def test_a_leader_that_resigns_is_followed_at_once(mill: Mill) -> None:
    first, second = lead(mill, "d1"), lead(mill, "d2")
    first.hold()
    first.resign()
    assert second.hold()


def test_a_leader_of_this_host_whose_process_is_gone_is_followed_at_once(mill: Mill) -> None:
    script = "from promptmill.schema.host import new_owner; print(new_owner())"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert lead(mill, done.stdout.decode().strip()).hold()
    assert lead(mill, "d2").hold()


def test_a_leader_of_another_host_with_that_process_id_is_not(mill: Mill) -> None:
    assert lead(mill, f"{host_identity()}x/{2**22 + os.getpid()}/some-uuid").hold()
    assert not lead(mill, "d2").hold()
