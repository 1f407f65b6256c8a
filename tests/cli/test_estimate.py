"""What prompts will cost: told before, learned from what was, confirmed above an amount."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.moves.endings import finish
from promptmill.schema.outcomes import Usage
from tests.cli.promptmill import Here, typed
from tests.schema.scene import ANSWER, ANSWERED, Scene
from tests.submit.inputs import MODEL, batch_line, write_batch, write_lines


def answer_all(scene: Scene, batch: int, usage: Usage) -> None:
    for claimed in scene.claim(*scene.queue(batch, model=MODEL)).items():
        scene.close(finish(*claimed, replace(ANSWERED, usage=usage), ANSWER))


def estimated(promptmill: Here, *words: object) -> Any:
    said = promptmill("estimate", *words, "--json")
    assert said.code == 0, said.err
    return said.objects[0]


def test_an_estimate_has_tokens_and_cost_from_least_to_most(
    promptmill: Here, tmp_path: Path
) -> None:
    source = write_batch(tmp_path / "in.jsonl", 100)
    told = estimated(promptmill, source, "-o", "max_tokens", "50")
    (model,) = told["models"]
    assert (told["prompts"], model["model"], model["counted"]) == (100, MODEL, 100)
    # `about a1` is 3 tokens; 7 more are around a message
    assert model["input_tokens_low"] < 100 * 10 < model["input_tokens_high"]
    assert model["input_tokens_high"] - model["input_tokens_low"] < 100
    assert (model["output_tokens_low"], model["output_tokens_high"]) == (100, 5000)
    assert told["cost_usd_low"] == pytest.approx(100 * (10 * 0.15 + 0.60) / 1e6, rel=0.2)
    assert told["cost_usd_high"] == pytest.approx(100 * (10 * 0.15 + 50 * 0.60) / 1e6, rel=0.05)
    assert model["at_most_usd"] > told["cost_usd_high"]


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("openai/gpt-4o-mnii", "is it gpt-4o-mini?"),
        ("claude-sonet-4-5", "is it claude-sonnet-4-5?"),
    ],
)
def test_a_model_that_is_nearly_called_as_another_is_told(
    model: str, meant: str, promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    source = write_batch(tmp_path / "in.jsonl", 1)
    for verb in ("estimate", "submit"):
        said = promptmill(verb, source, "-m", model)
        assert (said.code, meant in said.err) == (0, True), said.err
    assert meant in promptmill("submit", source, "-m", model, "--new", "--budget", "1").err


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-next", "ollama/llama3.1"])
def test_a_model_that_is_known_or_like_no_other_is_not_asked_about(
    model: str, promptmill: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OLLAMA__KIND", "openai")
    said = promptmill("estimate", write_batch(tmp_path / "in.jsonl", 1), "-m", model)
    assert (said.code, "is it" in said.err) == (0, False), said.err


def test_it_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_batch(tmp_path / "in.jsonl", 3)
    said = typed("estimate", source)
    assert (said.code, [path.name for path in tmp_path.iterdir()]) == (0, ["in.jsonl"]), said.err
    assert "3 prompts of" in said.err


def test_a_dry_run_is_an_estimate(promptmill: Here, scene: Scene, tmp_path: Path) -> None:
    source = write_batch(tmp_path / "in.jsonl", 3)
    dry = promptmill("run", source, "--dry-run", "--json")
    slow = promptmill("run", source, "--dry-run", "--json", "--rpm", "10").objects[0]
    assert (slow["limited_by"], slow["seconds_low"]) == (f"openai {MODEL} rpm 10", 18)
    assert dry.objects == promptmill("estimate", source, "--json").objects
    assert scene.count("batches") == 0


def test_answers_of_the_model_narrow_it(promptmill: Here, scene: Scene, tmp_path: Path) -> None:
    promptmill("submit", write_batch(tmp_path / "first.jsonl", 20))
    answer_all(scene, 1, Usage(30, 80))
    (model,) = estimated(promptmill, write_batch(tmp_path / "in.jsonl", 100))["models"]
    assert model["output_by"] == "history"
    assert (model["output_tokens_low"], model["output_tokens_high"]) == (4000, 16_000)
    assert model["input_tokens_low"] < 3000 < model["input_tokens_high"]


def test_an_unknown_price_is_shown_as_unknown(promptmill: Here, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", batch_line("a1", model="openai/my-own"))
    told = estimated(promptmill, source, "-o", "max_tokens", "50")
    assert (told["cost_usd_high"], told["models"][0]["cost_usd_low"]) == (None, None)
    shown = promptmill("estimate", source)
    assert "unknown" in shown.out
    assert "a price is unknown" in shown.err


def test_the_time_is_that_of_the_limit_that_takes_longest(
    promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__LIMITS__RPM", "20")
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__LIMITS__ITPM", "1M")
    told = estimated(promptmill, write_batch(tmp_path / "in.jsonl", 100))
    assert (told["seconds_low"], told["seconds_high"]) == (300, 300)
    assert told["limited_by"] == f"openai {MODEL} rpm 20"


def test_the_members_of_a_pool_share_the_time(
    promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__SECOND__KIND", "openai")
    monkeypatch.setenv("PROMPTMILL_POOLS__BOTH__MEMBERS", '{"openai": 3, "second": 1}')
    source = write_batch(tmp_path / "in.jsonl", 100)
    asked = (source, "-m", f"both/{MODEL}")
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__OPENAI__LIMITS__RPM", "20")
    assert estimated(promptmill, *asked)["seconds_low"] is None, "the second has no limit"
    monkeypatch.setenv("PROMPTMILL_PROVIDERS__SECOND__LIMITS__RPM", "5")
    told = estimated(promptmill, *asked)
    assert (told["seconds_low"], told["seconds_high"]) == (240, 240)
    assert told["limited_by"] == f"both: openai {MODEL} rpm 20, second {MODEL} rpm 5"
    assert told["models"][0]["provider"] == "both"
    assert told["cost_usd_high"] == estimated(promptmill, source)["cost_usd_high"]
    said = promptmill("submit", *asked, "--lane", "batch")
    assert (said.code, "both is a pool, which is asked live only" in said.err) == (2, True)
    monkeypatch.setenv("SECOND_BASE_URL", "http://127.0.0.1:9/v1")
    said = promptmill("submit", *asked, "--budget", "1")
    assert (said.code, "second" in said.err) == (2, True), said.err


def test_what_is_cut_is_not_counted(promptmill: Here, tmp_path: Path) -> None:
    line = batch_line("a1", messages=[{"role": "user", "content": "many words " * 500}])
    source = write_lines(tmp_path / "in.jsonl", line)
    (whole,) = estimated(promptmill, source)["models"]
    cut = ("--truncate", "tail", "--max-input-tokens", "100")
    (short,) = estimated(promptmill, source, *cut)["models"]
    assert whole["input_tokens_low"] > 900
    assert 95 < short["input_tokens_high"] < 105
    said = promptmill("estimate", source, *cut, "--fallback", "claude-haiku-4-5")
    assert "fallbacks are not in it" in said.err
    said = promptmill("estimate", source, "--max-input-tokens", "100")
    assert "are not sent" in said.err


def test_several_models_are_each_estimated(promptmill: Here, tmp_path: Path) -> None:
    source = write_batch(tmp_path / "in.jsonl", 10)
    told = estimated(promptmill, source, "-m", "gpt-4o", "-m", "claude-haiku-4-5")
    assert [one["model"] for one in told["models"]] == ["claude-haiku-4-5", "gpt-4o"]
    total = sum(one["cost_usd_high"] for one in told["models"])
    assert told["cost_usd_high"] == pytest.approx(total)


def test_what_may_cost_much_is_not_submitted_without_a_yes(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    source = write_lines(
        tmp_path / "in.jsonl", *(batch_line(f"a{n}", model="gpt-5") for n in range(600))
    )
    said = promptmill("submit", source)
    assert said.code == 2
    assert "600 prompts are estimated to cost" in said.err
    assert "add --budget USD to limit it, or --yes" in said.err
    assert scene.count("batches") == 0
    assert promptmill("submit", source, "--yes").code == 0
    assert promptmill("submit", source).code == 0  # it is there already
    assert promptmill("submit", source, "--new", "--budget", "5").code == 0


def test_few_prompts_need_no_yes_however_long_the_model_may_answer(
    promptmill: Here, tmp_path: Path
) -> None:
    source = write_lines(
        tmp_path / "in.jsonl", *(batch_line(f"a{n}", model="gpt-5") for n in range(9))
    )
    assert estimated(promptmill, source)["cost_usd_high"] > 5
    assert promptmill("submit", source).code == 0


def test_the_amount_that_wants_a_yes_is_a_setting(
    promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_batch(tmp_path / "in.jsonl", 3)
    monkeypatch.setenv("PROMPTMILL_CONFIRM_ABOVE_USD", "0.001")
    assert promptmill("submit", source).code == 2
    assert promptmill("submit", source, "-o", "max_tokens", "20").code == 0
