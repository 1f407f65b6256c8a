"""`promptmill demo`, with sixty prompts in place of a thousand."""

import re

import pytest

from tests.acceptance.laptop import Laptop


def billed_by_the_demo(err: str) -> tuple[int, int]:
    """Return the tokens, in and out, that the demo's own simulator charged."""
    told = re.search(r"([\d,]+) tokens in, ([\d,]+) out", err)
    assert told, err
    return int(told[1].replace(",", "")), int(told[2].replace(",", ""))


def test_the_demo_answers_over_three_providers_and_shows_the_rows(laptop: Laptop) -> None:
    laptop.database = laptop.state / "demo" / "promptmill.db"
    typed = laptop.promptmill("demo", "--prompts", "60")
    assert typed.code == 0, typed.err
    assert "60 of 60 answered" in typed.err
    assert str(laptop.database) in typed.err
    assert 'sql "select provider' in typed.err
    rows = [line.split() for line in typed.out.splitlines()[1:]]
    assert [row[:3] for row in rows] == [
        ["anthropic", "claude-haiku-4-5", "20"],
        ["gemini", "gemini-2.5-flash", "20"],
        ["openai", "gpt-4o-mini", "20"],
    ]
    used = laptop.sql("select sum(input_tokens), sum(output_tokens) from attempts")
    assert used == [billed_by_the_demo(typed.err)]
    assert laptop.simulator.summary().total.requests == 0, "the demo asked with the user's keys"


@pytest.mark.long
def test_a_new_demo_answers_another_batch_beside_one_that_was_interrupted(laptop: Laptop) -> None:
    laptop.database = laptop.state / "demo" / "promptmill.db"
    demo = laptop.begin("demo", "--prompts", "300")
    laptop.wait_for_answers(1)
    demo.interrupt()
    stopped = demo.ended()
    assert stopped.code == 130, stopped.err
    used = "select sum(input_tokens), sum(output_tokens) from attempts"
    ((read, written),) = laptop.sql(used)

    again = laptop.promptmill("demo", "--prompts", "300", "--new")
    assert again.code == 0, again.err
    answered = "promptmill_results where batch_id = 2"
    assert laptop.count(answered) == 300
    more_read, more_written = billed_by_the_demo(again.err)
    assert laptop.sql(used) == [(read + more_read, written + more_written)]
