"""The catalogue is whole: each number once, each with something that holds it or a reason."""

from collections import Counter

import pytest

from tests.chaos.catalogue import ROOT, Fault
from tests.chaos.faults import FAULTS


def test_every_number_is_there_once() -> None:
    assert [fault.number for fault in FAULTS] == [f"R{number:02}" for number in range(1, 63)]
    assert set(Counter(fault.name for fault in FAULTS).values()) == {1}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.number)
def test_a_fault_is_played_or_held_by_tests_or_open_with_a_reason(fault: Fault) -> None:
    assert fault.play or fault.suites or fault.open
    for suite in fault.suites:
        assert (ROOT / suite).exists(), f"{suite} is not there"
