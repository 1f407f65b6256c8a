"""Prompts that are too long, through one real worker: failed at no cost, or cut."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.running_mill import GEMINI, MODELS, OPENAI, RunningMill

pytestmark = pytest.mark.usefixtures("worker")

LONG = "many words that say little " * 200
"""1,000 tokens by o200k, 1,350 by the simulator"""


@pytest.fixture
def narrow(mill: RunningMill) -> Iterator[RunningMill]:
    """A mill whose providers take 900 tokens, which no list of ours says."""
    mill.simulator.configure(windows=dict.fromkeys(MODELS, 900))
    yield mill
    mill.simulator.configure(windows={})


def told(mill: RunningMill, batch: int, what: str, view: str) -> list[tuple[Any, ...]]:
    rows = mill.sql(f"select {what} from {view} where batch_id = {batch} order by job_id, fence")
    return [tuple(row.values()) for row in rows]


def test_what_its_provider_finds_too_long_is_cut_by_its_numbers_and_asked_once_more(
    narrow: RunningMill,
) -> None:
    batch = narrow.load(3, providers=list(MODELS), say=LONG, truncate="tail")
    assert narrow.wait_done(batch) == {"succeeded": 3}
    assert narrow.requests(batch) == 6
    cuts = narrow.sql(f"select * from promptmill_truncations where batch_id = {batch}")
    assert sorted(row["refused"] for row in cuts) == [0, 0, 0, 1, 1, 1]
    for row in cuts:
        assert (row["told_most"] == 900 and row["told_tokens"] > 900) == bool(row["refused"])
        assert bool(row["cut_tokens"]) != bool(row["refused"])
    sent = narrow.sql(f"select input_tokens from promptmill_results where batch_id = {batch}")
    assert all(650 < row["input_tokens"] <= 900 for row in sent), sent
    plain = narrow.load(say=LONG)
    assert narrow.wait_done(plain) == {"failed": 1}
    assert narrow.requests(plain) == 1


def test_what_is_too_long_for_its_batch_fails_or_is_cut_before_any_call(mill: RunningMill) -> None:
    failed = mill.load(2, say=LONG, providers=[OPENAI, GEMINI], max_input_tokens=300)
    cut = mill.load(say=LONG, truncate="head", max_input_tokens=300)
    whole = mill.load(say="short", truncate="head", max_input_tokens=300)
    stuck = mill.load(say=LONG, truncate="drop-oldest", max_input_tokens=300)
    assert mill.wait_done(failed) == {"failed": 2}
    assert mill.wait_done(stuck) == {"failed": 1}
    assert mill.wait_done(cut) == mill.wait_done(whole) == {"succeeded": 1}
    assert (mill.requests(failed), mill.requests(stuck), mill.requests(cut)) == (0, 0, 1)
    codes = mill.sql("select distinct error_code, cost_usd from promptmill_attempts"
        f" where batch_id in ({failed}, {stuck})")  # fmt: skip
    assert codes == [{"error_code": "too_long", "cost_usd": None}]
    ((how, tokens, turns),) = told(
        mill, cut, "how, cut_tokens, cut_turns", "promptmill_truncations"
    )
    assert (how, turns) == ("head", 0)
    assert 650 < tokens < 800
    assert told(mill, whole, "how", "promptmill_truncations") == []


def test_what_is_surely_longer_than_the_models_window_is_not_sent(mill: RunningMill) -> None:
    batch = mill.load(say="never sent " * 80_000)
    assert mill.wait_done(batch) == {"failed": 1}
    ((code, text),) = told(mill, batch, "error_code, error_text", "promptmill_attempts")
    assert (code, mill.requests(batch)) == ("too_long", 0)
    assert "gpt-4o-mini takes 128,000" in text
