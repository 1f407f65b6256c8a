"""Keys that are missing or refused."""

import pytest

from tests.acceptance.laptop import EXAMPLES, KEYS, Laptop

BATCH = EXAMPLES / "batch.jsonl"


def test_a_run_without_a_key_is_refused_before_anything_is_stored(laptop: Laptop) -> None:
    del laptop.env["OPENAI_API_KEY"]
    typed = laptop.promptmill("run", BATCH)
    assert typed.code == 2
    assert "OPENAI_API_KEY" in typed.err
    assert "nothing was stored or sent" in typed.err
    assert laptop.count("batches") == 0
    assert laptop.valkeys() == []


@pytest.mark.long
def test_workers_without_a_key_pause_the_batch_until_one_with_a_key_comes(laptop: Laptop) -> None:
    key = laptop.env.pop("OPENAI_API_KEY")
    submitted = laptop.promptmill("submit", BATCH)
    assert (submitted.code, submitted.out) == (0, "1\n")
    parts = [laptop.begin("dispatch"), laptop.begin("worker", "openai")]

    watched = laptop.promptmill("watch", "1")
    assert watched.code == 5, watched.err
    assert "openai paused: key" in watched.err
    told = laptop.promptmill("status", "1")
    assert "openai paused" in told.out
    assert "OPENAI_API_KEY" in told.out
    assert laptop.simulator.summary().total.requests == 0

    laptop.env["OPENAI_API_KEY"] = key
    parts.append(laptop.begin("worker", "openai"))
    laptop.wait_for_answers(20)
    assert laptop.promptmill("watch", "1").code == 0
    for part in parts:
        part.terminate()
    assert [part.ended(60).code for part in parts] == [0, 0, 0]
    assert laptop.valkeys() == [], "the last one out stops the bundled server"


@pytest.mark.long
def test_a_refused_key_pauses_the_batch_and_the_right_one_goes_on(laptop: Laptop) -> None:
    laptop.simulator.configure(keys=frozenset(KEYS.values()))
    laptop.env["OPENAI_API_KEY"] = "sk-wrong-0123456789"
    paused = laptop.promptmill("run", BATCH, "-c", "4")
    assert paused.code == 5, paused.err
    assert "openai paused: key" in paused.err
    assert "sk-wrong" not in paused.err
    refused = laptop.simulator.summary().total
    assert 0 < refused.requests == refused.refused <= 4
    assert laptop.count("results") == 0

    laptop.env["OPENAI_API_KEY"] = KEYS["openai"]
    again = laptop.promptmill("run", BATCH)
    assert again.code == 0, again.err
    assert laptop.count("results") == 20
    assert laptop.simulator.summary().total.requests == refused.requests + 20
