"""What is told of a batch at work: news in words, limits beside what is used, JSON events."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from promptmill.producer.cli.events import news_event, progress_event
from promptmill.producer.limits.memory import Account
from promptmill.producer.limits.standing import DimensionStanding, ScopeStanding
from promptmill.producer.watching.news import NewsKind
from promptmill.producer.watching.progress import Progress, read_progress
from promptmill.producer.watching.sight import Ceiling, Sight, Watcher
from promptmill.schema.database import Database
from promptmill.schema.limit_level import DimensionLevel, Level
from promptmill.schema.pauses import Pause
from promptmill.schema.states import BatchState
from tests.cli.promptmill import Here
from tests.docs.pages import page
from tests.schema.scene import Scene
from tests.submit.inputs import MODEL, answer, claim_all, write_batch

NOW = datetime(2026, 11, 22, 12, 4, 31, tzinfo=UTC)
KEY = Account("openai", "1f0c22aa")
Look = Callable[..., Sight]


@pytest.fixture
def progress(promptmill: Here, scene: Scene, database: Database, tmp_path: Path) -> Progress:
    """Three prompts of one model, one of them answered."""
    batch = int(promptmill("submit", write_batch(tmp_path / "in.jsonl", 3)).out)
    ((job, fence),) = claim_all(scene, batch, most=1).items()
    answer(scene, job, fence)
    return read_progress(database, batch)


@pytest.fixture
def look() -> Look:
    watcher, seconds = Watcher(), iter(range(0, 1000, 10))

    def looked(progress: Progress, *standings: ScopeStanding) -> Sight:
        at = next(seconds)
        now = NOW + timedelta(seconds=at)
        return watcher.look(progress, standings, monotonic=at, now=now)

    return looked


def standing(name: str = MODEL, **changes: object) -> ScopeStanding:
    """A scope of a key that was used a second ago, with no limit and no pause."""
    made = ScopeStanding(
        account=KEY,
        name=name,
        dimensions=(),
        concurrency=100,
        in_flight=3,
        level=None,
        whole_again_s=0,
        idle_s=1.0,
        pauses=(),
        waits=(),
        learned={},
        charged_by_max_tokens=False,
    )
    return replace(made, **changes)


def level(paused_s: float = 0.0, why: str = "", multiplier: float = 1.0) -> Level:
    return Level(1, paused_s, why, multiplier, 0, 0, ())


def limited(name: str, **limits: float) -> ScopeStanding:
    return standing(
        name,
        dimensions=tuple(DimensionStanding(key, most, False, None) for key, most in limits.items()),
    )


def texts(sight: Sight) -> list[str]:
    return [one.text for one in sight.news]


def test_a_429_that_holds_all_workers_is_told_once_and_its_end_too(
    look: Look, progress: Progress
) -> None:
    held = standing(level=level(7.2, "rate 429 rate_limit_error", 0.5))
    assert texts(look(progress, standing(level=level()))) == []
    told = look(progress, held)
    assert texts(told) == [f"openai {MODEL}: 429 rate_limit_error; every worker holds for 7s"]
    assert told.news[0].kind == NewsKind.HELD
    assert texts(look(progress, held)) == []
    over = look(progress, standing(level=level(multiplier=0.52)))
    assert texts(over) == [f"openai {MODEL} goes on, at 52% of its limits"]


def test_limits_of_other_models_are_no_news(look: Look, progress: Progress) -> None:
    assert texts(look(progress, standing("o3", level=level(9.0, "rate 429")))) == []


def test_a_redis_that_is_away_for_a_moment_is_no_end_of_a_hold(
    look: Look, progress: Progress
) -> None:
    held = standing(level=level(30.0, "overloaded 529"))
    look(progress, held)
    assert texts(look(progress)) == []
    assert texts(look(progress, held)) == []


def test_refusals_are_told_together(look: Look, progress: Progress) -> None:
    def refused(count: int) -> Progress:
        (tally,) = progress.providers
        return replace(progress, providers=(replace(tally, refusals=count),))

    assert texts(look(refused(4))) == []
    assert texts(look(refused(5))) == ["openai refused a call (429, 503)"]
    assert texts(look(refused(9))) == ["openai refused 4 calls (429, 503)"]


def test_a_pause_is_told_with_its_reason_and_what_ends_it(look: Look, progress: Progress) -> None:
    key = Pause("openai", "", "1f0c22aa", "key", "key 401 invalid_api_key", NOW, None)
    day = Pause("openai", MODEL, "", "daily", "the day's quota", NOW, NOW + timedelta(hours=3))
    told = look(replace(progress, pauses=(key, day)))
    assert texts(told)[0].startswith("openai paused: key 401 invalid_api_key. To go on: give its")
    assert texts(told)[1] == f"openai {MODEL} paused: the day's quota; goes on in 3h00m"
    assert texts(look(progress)) == ["openai goes on", f"openai {MODEL} goes on"]


def test_a_batch_that_is_paused_and_goes_on_is_told(look: Look, progress: Progress) -> None:
    batch = replace(progress.batch, state=BatchState.PAUSED, paused_reason="too dear")
    assert texts(look(replace(progress, batch=batch))) == [f"batch {batch.id} paused: too dear"]
    assert texts(look(progress)) == [f"batch {batch.id} goes on"]


def test_what_is_used_is_shown_beside_the_limit_that_holds(look: Look, progress: Progress) -> None:
    def ceiling(*standings: ScopeStanding) -> Ceiling:
        return look(progress, *standings).ceilings["openai"]

    assert ceiling() == Ceiling(None, None)
    assert ceiling(limited(MODEL, rpm=500, tpm=2e5)) == Ceiling(500, 2e5)
    assert ceiling(limited("o3", rpm=9), limited("gpt-4o*", rpm=500)) == Ceiling(500, None)
    assert ceiling(limited("", rpm=70)) == Ceiling(70, None)
    assert ceiling(limited("*", rpm=300), limited(MODEL, rpm=500)) == Ceiling(300, None)
    told = DimensionLevel("rpm", 400, 400, False, 6.6, 1, 1)
    by_headers = standing(dimensions=(DimensionStanding("rpm", 500, False, told),))
    assert ceiling(by_headers) == Ceiling(400, None)
    other_key = replace(by_headers, account=Account("openai", "99"))
    assert ceiling(by_headers, other_key) == Ceiling(800, None)


def moved(progress: Progress, times: int) -> Progress:
    (tally,) = progress.providers
    done = replace(tally, succeeded=times, calls=2 * times, input_tokens=100 * times)
    return replace(progress, providers=(done,), overall=replace(done, name="all", total=30))


def test_requests_and_tokens_of_a_minute_are_those_of_late(look: Look, progress: Progress) -> None:
    for times in (1, 11, 21):
        sight = look(moved(progress, times))
    pace = sight.pace("openai")
    assert (pace.per_second, pace.requests_a_minute) == (1.0, 120.0)
    assert pace.tokens_a_minute == 6000.0
    assert sight.left_s == 9.0


def test_nobody_can_tell_how_long_a_batch_that_is_paused_takes(
    look: Look, progress: Progress
) -> None:
    batch = replace(progress.batch, state=BatchState.PAUSED, paused_reason="too dear")
    for times in (1, 11, 21):
        sight = look(replace(moved(progress, times), batch=batch))
    assert sight.pace("openai").per_second == 1.0
    assert sight.left_s is None


def test_every_event_and_field_is_in_the_docs(look: Look, progress: Progress) -> None:
    told = page("docs/cli.md").text.partition("\n### Events\n")[2].partition("\n## ")[0]
    event = progress_event(look(progress))
    batch = replace(progress.batch, state=BatchState.PAUSED, paused_reason="too dear")
    (news,) = look(replace(progress, batch=batch)).news
    names = {*event, *event["providers"][0], *news_event(news, batch_id=1)}
    kinds = {kind.value for kind in NewsKind} | {"progress", "finished"}
    assert not {name for name in names | kinds if f"`{name}`" not in told}


def test_watch_prints_events_one_a_line(progress: Progress, promptmill: Here) -> None:
    promptmill("pause", progress.batch.id, "--reason", "lunch")
    said = promptmill("watch", "--json")
    paused, event = said.objects
    assert (said.code, paused["event"], paused["text"]) == (
        5,
        "paused",
        f"batch {progress.batch.id} paused: lunch",
    )
    assert (event["event"], event["succeeded"], event["total"]) == ("progress", 1, 3)
    assert event["providers"][0]["name"] == "openai"
