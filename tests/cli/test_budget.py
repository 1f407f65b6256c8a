"""A budget as people give it: refused where it cannot be kept, changed by the same command."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.promptmill import Here
from tests.schema.scene import Scene
from tests.submit.inputs import batch_line, write_batch, write_lines


def budget_of(scene: Scene) -> list[Any]:
    return [row.budget_micros for row in scene.sql("select budget_micros from batches order by id")]


def test_a_budget_is_in_dollars_and_the_same_command_changes_it(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    source = write_batch(tmp_path / "in.jsonl", 3)
    for typed, micros in (("5", 5_000_000), ("$1,000.5", 1_000_500_000), ("none", None)):
        said = promptmill("submit", source, "--budget", typed)
        assert (said.code, said.out, budget_of(scene)) == (0, "1\n", [micros]), said.err


def test_without_it_the_same_command_leaves_it_as_it_is(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    source = write_batch(tmp_path / "in.jsonl", 3)
    promptmill("submit", source, "--budget", "5")
    promptmill("submit", source)
    assert budget_of(scene) == [5_000_000]


@pytest.mark.parametrize("typed", ["much", "0", "-1", "5 EUR", "1e3", "", "nan"])
def test_what_is_no_amount_is_refused(
    promptmill: Here, scene: Scene, tmp_path: Path, typed: str
) -> None:
    said = promptmill("submit", write_batch(tmp_path / "in.jsonl", 1), f"--budget={typed}")
    assert said.code == 2
    assert "write 5, 0.50 or none" in said.err
    assert scene.count("batches") == 0


@pytest.mark.parametrize(
    ("model", "body", "told"),
    [
        ("openai/my-own", {}, '[providers.openai.prices."my-own"] with input and output'),
        ("gpt-5", {}, "one call of gpt-5 may cost $1.28, more than the budget of $1.00"),
        ("gpt-5", {"service_tier": "priority"}, "service_tier costs at most: leave it out"),
        ("gpt-4o", {"web_search_options": {"x": 1}}, "web_search_options costs at most"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused_with_what_to_do(
    promptmill: Here, scene: Scene, tmp_path: Path, *, model: str, body: dict[str, Any], told: str
) -> None:
    source = write_lines(tmp_path / "in.jsonl", batch_line("a1", model=model, **body))
    said = promptmill("submit", source, "--budget", "1")
    assert said.code == 2
    assert told in said.err
    assert scene.count("batches") == 0


def test_a_price_in_the_settings_makes_a_budget_possible(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    Path("promptmill.toml").write_text(
        '[providers.openai.prices."my-*"]\ninput = 1\noutput = 2\nmax_output_tokens = 1000\n'
    )
    source = write_lines(tmp_path / "in.jsonl", batch_line("a1", model="openai/my-own"))
    assert promptmill("submit", source, "--budget", "0.001").code == 2  # 0.002 for the answer alone
    assert promptmill("submit", source, "--budget", "1").code == 0


def test_the_state_of_a_budget_is_shown(promptmill: Here, scene: Scene, tmp_path: Path) -> None:
    promptmill("submit", write_batch(tmp_path / "in.jsonl", 3), "--budget", "5")
    scene.order("update batch_spending set spent_micros = 1500000, reserved_micros = 250000")
    shown = promptmill("status", "1")
    assert "budget  $1.50 of $5.00 spent, $0.250 reserved" in shown.out
    (told,) = promptmill("status", "1", "--json").objects
    assert (told["budget_usd"], told["reserved_usd"], told["unknown_usd"]) == (5.0, 0.25, 0.0)


def test_a_batch_that_its_budget_paused_ends_the_watching_with_exit_code_4(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    source = write_batch(tmp_path / "in.jsonl", 3)
    promptmill("submit", source, "--budget", "5")
    scene.order("update batches set state = 'paused', paused_reason = 'budget: used up'")
    assert promptmill("watch", "1", "--json").code == 4
    assert "with a higher --budget" in promptmill("status", "1").out
    said = promptmill("submit", source, "--budget", "6")
    assert "batch 1 was paused by its budget, and goes on" in said.err
    assert scene.sql("select state from batches")[0].state == "open"
