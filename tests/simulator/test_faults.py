"""The rules that say when something goes wrong."""

from typing import Any

import pytest

from promptmill.simulator import Fault, Provider
from promptmill.simulator.faults import FaultBook


def plays(fault: Fault, requests: int = 12, seed: int = 7, **request: Any) -> list[bool]:
    book = FaultBook(seed)
    book.add([fault])
    provider = request.get("provider", Provider.OPENAI)
    model, text = request.get("model", "gpt-4o"), request.get("text", "hello")
    return [book.pick(provider, model, text) is not None for _ in range(requests)]


def test_a_rule_without_conditions_always_plays() -> None:
    assert all(plays(Fault(kind="rate")))


def test_a_count_ends_a_rule() -> None:
    assert plays(Fault(kind="rate", count=2)) == [True, True] + [False] * 10


def test_every_nth_request_is_hit() -> None:
    assert plays(Fault(kind="rate", every=3), requests=6) == [False, False, True] * 2


def test_a_probability_is_the_same_for_the_same_seed_and_hits_about_that_often() -> None:
    fault = Fault(kind="rate", probability=0.3)
    first = plays(fault, requests=1000)
    assert first == plays(fault, requests=1000)
    assert first != plays(fault, requests=1000, seed=8)
    assert 250 < sum(first) < 350


@pytest.mark.parametrize(
    ("conditions", "request_"),
    [
        ({"provider": Provider.GEMINI}, {"provider": Provider.GEMINI}),
        ({"model": "mini"}, {"model": "gpt-5-mini"}),
        ({"contains": "poison"}, {"text": "a poison pill"}),
    ],
)
def test_a_condition_spares_all_that_do_not_match(
    conditions: dict[str, Any], request_: dict[str, Any]
) -> None:
    fault = Fault(kind="rate", **conditions)
    assert not any(plays(fault))
    assert all(plays(fault, **request_))


def test_the_first_rule_that_matches_wins() -> None:
    book = FaultBook(0)
    book.add([Fault(kind="rate", count=1), Fault(kind="hang")])
    kinds = [book.pick(Provider.OPENAI, "m", "t") for _ in range(2)]
    assert [fault.kind for fault in kinds if fault] == ["rate", "hang"]


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="bad_gateway"):
        Fault(kind="gremlins")
