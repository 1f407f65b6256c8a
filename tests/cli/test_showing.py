"""What is shown of a batch while it runs: rates, the live table, lines, and silence."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from promptmill.producer.advice import how_to_resume
from promptmill.producer.cli import views
from promptmill.producer.cli.live_table import live_panel
from promptmill.producer.cli.watch import exit_code
from promptmill.producer.limits.standing import ScopeStanding
from promptmill.producer.watching.progress import Progress, open_besides, read_progress
from promptmill.producer.watching.rates import Rates
from promptmill.producer.watching.sight import Ceiling, Pace, Sight, Watcher
from promptmill.schema.database import Database
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.pauses import Pause
from tests.cli.promptmill import Here, typed
from tests.schema.scene import Scene
from tests.submit.inputs import answer, claim_all, write_batch

NOW = datetime(2026, 11, 22, 12, 4, 31, tzinfo=UTC)


@pytest.fixture
def batch_id(promptmill: Here, scene: Scene, tmp_path: Path) -> int:
    """Three prompts, one of them answered."""
    batch = int(promptmill("submit", write_batch(tmp_path / "in.jsonl", 3)).out)
    ((job, fence),) = claim_all(scene, batch, most=1).items()
    answer(scene, job, fence, text="yes")
    return batch


@pytest.fixture
def progress(batch_id: int, database: Database) -> Progress:
    return read_progress(database, batch_id)


def rates_of(*seen: tuple[float, int]) -> Rates:
    rates = Rates()
    for at, done in seen:
        rates.saw("all", done, at=at)
    return rates


def seen(progress: Progress, *standings: ScopeStanding) -> Sight:
    return Watcher().look(progress, standings, monotonic=0, now=NOW)


def drawn(sight: Sight, *, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(live_panel(sight, sight.news, width=width))
    return captured.get().splitlines()


def test_the_time_before_the_first_answer_is_no_part_of_the_rate() -> None:
    rates = rates_of((0, 7), (5, 7), (9.75, 7), (10, 8), (11.75, 27))
    assert rates.per_second("all") == 10.0
    assert rates.mean("all") == 10.0
    assert rates.left_s("all", 50) == 5.0


def test_a_batch_that_ends_in_one_step_has_a_rate() -> None:
    assert rates_of((0, 0), (4, 0), (4.5, 5)).mean("all") == 10.0


@pytest.mark.parametrize("width", [60, 77, 91, 92, 100])
def test_no_number_of_the_live_table_is_cut(width: int, progress: Progress) -> None:
    large = replace(
        progress.overall,
        name="anthropic",
        total=20_000,
        succeeded=17_000,
        failed=2_000,
        retries=1_234,
        refusals=432,
        input_tokens=12_345_678,
        output_tokens=987_654_321,
        cost_micros=123_456_789,
    )
    pace = Pace(12.345, 1486.2, 171_234.0)
    sight = replace(
        seen(replace(progress, providers=(large, large))),
        paces={"anthropic": pace},
        ceilings={"anthropic": Ceiling(3000.0, 200_000.0)},
    )
    lines = drawn(sight, width=width)
    assert {len(line) for line in lines} == {width}
    row = lines[2].split()
    against = {"1.5k/3k", "171k/200k"} if width >= 72 else set()
    assert {"19,000", "2,000", "1,666", "12.3/s", "$123.46", *against} <= set(row)


def test_a_batch_that_is_paused_says_so_and_is_not_followed_for_ever(
    batch_id: int, promptmill: Here, database: Database
) -> None:
    promptmill("pause", batch_id, "--reason", "too dear")
    progress = read_progress(database, batch_id)
    assert "paused: too dear" in views.plain_line(seen(progress))
    assert "paused: too dear" in "".join(drawn(seen(progress), width=78))
    assert (progress.held, exit_code(progress)) == (True, 5)
    assert promptmill("watch", batch_id).code == 5


def test_what_still_runs_of_a_paused_batch_is_followed(
    batch_id: int, promptmill: Here, scene: Scene, database: Database
) -> None:
    claim_all(scene, batch_id, most=1)
    promptmill("pause", batch_id)
    assert not read_progress(database, batch_id).held


def test_an_ended_batch_that_was_not_seen_to_move_has_no_rate(
    batch_id: int, promptmill: Here, scene: Scene
) -> None:
    for job, fence in claim_all(scene, batch_id).items():
        answer(scene, job, fence, text="yes")
    said = typed("watch", batch_id)
    assert said.code == 0
    assert "3 of 3 done" in said.err
    assert "/s" not in said.err


def test_quiet_shows_nothing(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    with views.choose_view(as_json=False, quiet=True) as view:
        view.show(seen(progress), last=True)
    assert capsys.readouterr() == ("", "")


def test_other_open_batches_of_the_same_providers_are_found(
    batch_id: int, promptmill: Here, database: Database, tmp_path: Path
) -> None:
    other = int(promptmill("submit", write_batch(tmp_path / "other.jsonl", 2)).out)
    (found,) = open_besides(database, other, providers=["openai"])
    assert (found.id, found.name, found.left) == (batch_id, "in.jsonl", 2)
    assert open_besides(database, other, providers=["gemini"]) == []
    promptmill("pause", batch_id)
    assert open_besides(database, other, providers=["openai"]) == []


def test_the_way_out_of_a_pause_can_be_the_command_itself() -> None:
    pause = Pause(
        provider="openai",
        model="",
        fingerprint="abc",
        kind=ErrorKind.KEY,
        reason="401",
        since_at=datetime.now(UTC),
        until_at=None,
    )
    assert how_to_resume(pause).endswith("then `promptmill resume openai`")
    assert how_to_resume(pause, resume="type it again").endswith("then type it again")
