"""`promptmill limits`: how limits stand, read from a real limiter's state."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.cli import output
from promptmill.schema.database import Database
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.pauses import pause_provider
from promptmill.schema.settings import Settings, load_settings
from promptmill.workers.limits.limit import Estimate
from tests.cli.limiter import Limiter, with_limiter
from tests.cli.promptmill import Here
from tests.schema.scene import Scene, new_jobs
from tests.services.valkey import Valkey

MINI = "gpt-4o-mini-2024-07-18"
LONG, SHORT = Estimate(400, 4096), Estimate(400, 300)
ONE, TWO = "1f0c22aa", "99ddee01"
READING = {"scan", "time", "mget", "zcount", "select", "hello", "client|setinfo", "info"}

one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""for what does not come from SQL"""

AT_WORK = """\
openai  key 1f0c22aa  3 in flight of at most 200 calls
  model                   limit  configured  told  enforced       at hand  a second
  all models              tpm          100M            100M  417k of 417k     1.65M
  gpt-4o-mini-2024-07-18  rpm           60k   90k       60k        paused
                          tpm           60M   30M       30M        paused
  o3*                     rpm           10k             10k  41.7 of 41.7       165
                          tpm           60M             60M  250k of 250k      991k
                          rpd            1k              1k        2 used
  any other model         rpm           60k
                          tpm           60M
  gpt-4o-mini-2024-07-18
    paused until HH:MM:SS, for NNs: rate 429: slow down[2J
    goes at NN% of its limits since a 429; at all of them in NNs
    learned: 1.02 input tokens for each estimated, NN for an answer
    max_tokens of 4,096 is charged, though an answer takes NN: with less, up to N.N times as many
    calls fit (`promptmill submit … -o max_tokens N`, N above the longest answer you need)
  o3*
    to be done: batch 1 (1 queued, 3 pending), batch 2 (2 pending)

openai  key 99ddee01  0 in flight of at most 200 calls
  model                   limit  configured  told  enforced       at hand  a second
  all models              tpm          100M            100M  417k of 417k     1.65M
  gpt-4o-mini-2024-07-18  rpm           60k             60k    250 of 250       991
                          tpm           60M             60M  250k of 250k      991k
  o3*                     rpm           10k
                          tpm           60M
                          rpd            1k
  any other model         rpm           60k
                          tpm           60M
  gpt-4o-mini-2024-07-18
    learned: 1.00 input tokens for each estimated, NN for an answer
  o3*
    to be done: batch 1 (1 queued, 3 pending), batch 2 (2 pending)
"""
CONFIGURED = """\
openai  at most 200 calls in flight
  model            limit  configured  told  enforced  at hand  a second
  all models       tpm          100M
  o3*              rpm           10k
                   tpm           60M
                   rpd            1k
  any other model  rpm           60k
                   tpm           60M
"""


@pytest.fixture
def at_work(settings: Settings, valkey: Valkey, scene: Scene) -> None:
    """Two keys at work, one of them paused after a 429, and batches that wait."""

    async def story(limiter: Limiter) -> None:
        mini, family = (limiter.scope("openai", name, ONE) for name in (MINI, "o3-mini"))
        other = limiter.scope("openai", MINI, TWO)
        for _ in range(60):
            await limiter.answered(mini, LONG, Usage(410, 83))
        for _ in range(2):
            await limiter.booked(family, SHORT)
        await limiter.answered(other, SHORT, Usage(400, 70))
        await limiter.permits.observe(mini, {"rpm": 90_000.0, "tpm": 30e6})
        await limiter.booked(mini, SHORT)
        await limiter.permits.penalise(
            mini, kind=ErrorKind.RATE, pause_s=50, reason="rate 429: slow\ndown\x1b[2J"
        )

    with_limiter(settings, valkey, story, ago_s=10)
    batch = scene.load(4, jobs=new_jobs(4, model="o3-mini"))
    scene.queue(batch, model="o3-mini", most=1)
    scene.load(2, jobs=new_jobs(2, model="o3-mini"))


def steady(text: str) -> str:
    """Take out what changes from run to run, what is learned, and the blanks at line ends."""
    text = re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", text)
    text = re.sub(r"for \d\ds", "for NNs", text)
    text = re.sub(r"\d+%", "NN%", text)
    text = re.sub(r"in (\dm)?\d+s", "in NNs", text)
    text = re.sub(r"\d+ for an answer", "NN for an answer", text)
    text = re.sub(r"takes \d+", "takes NN", text)
    text = re.sub(r"up to \d\.\d times", "up to N.N times", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def of_scope(said: Any, scope: str, key: str = ONE) -> Any:
    (found,) = (each for each in said.objects if (each["scope"], each["key"]) == (scope, key))
    return found


def test_limits_at_work_are_shown_in_a_hundred_columns(at_work: None, promptmill: Here) -> None:
    said = promptmill("limits", "openai")
    assert (said.code, said.err) == (0, "")
    assert steady(said.out) == AT_WORK


@one_engine
def test_nothing_is_cut_off_at_eighty_columns(
    at_work: None, promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "WIDTH", 80)
    lines = promptmill("limits", "openai").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines if "promptmill submit" not in line)
    words = " ".join(lines).split()
    for shown in ("417k", "1.65M", "60k", "1k", "configured", "enforced"):
        assert shown in words


@one_engine
def test_looking_writes_nothing_to_redis(at_work: None, promptmill: Here, valkey: Valkey) -> None:
    valkey.client.config_resetstat()
    assert promptmill("limits").code == 0
    called = valkey.client.info("commandstats")
    names = {name.removeprefix("cmdstat_") for name in called}
    assert names - {"config|resetstat"} <= READING
    assert sum(each["calls"] for each in called.values()) < 20


@one_engine
def test_one_model_is_shown_by_its_own_name_or_by_its_family(
    at_work: None, promptmill: Here
) -> None:
    for name in ("o3-mini", "o3*"):
        scopes = [
            each["scope"] for each in promptmill("limits", f"openai/{name}", "--json").objects
        ]
        assert scopes == ["*", "o3*"] * 2
    shown = promptmill("limits", "openai/gpt-5").out
    assert "gpt-5" in shown
    assert MINI not in shown


def test_json_has_an_object_a_scope_with_the_same_names(at_work: None, promptmill: Here) -> None:
    said = promptmill("limits", "--json")
    assert len({tuple(each) for each in said.objects}) == 1
    mini = of_scope(said, MINI)
    assert mini["kind"] == "model"
    assert 30 < mini["paused_s"] <= 40
    assert mini["multiplier"] < 1
    assert mini["limits"][0] | {"level": None} == {
        "dimension": "rpm",
        "configured": 60_000,
        "is_live": False,
        "told": 90_000,
        "enforced": 60_000,
        "probing": False,
        "level": None,
        "depth": 250,
        "used_today": None,
        "per_second": pytest.approx(990.85),
    }
    assert "max_tokens of 4,096" in mini["learned"][0]["what_to_do"]
    family = of_scope(said, "o3*")
    assert family["kind"] == "family"
    assert family["limits"][2]["used_today"] == 2
    batch = {"model": "o3-mini", "running": 0, "waiting": 0}
    assert family["to_be_done"] == [
        batch | {"batch": 1, "pending": 3, "queued": 1},
        batch | {"batch": 2, "pending": 2, "queued": 0},
    ]
    assert of_scope(said, "*")["in_flight"] == 3
    assert of_scope(said, "*", TWO)["in_flight"] == 0


def test_before_the_first_call_the_configured_limits_are_shown(
    settings: Settings, database: Database, promptmill: Here
) -> None:
    said = promptmill("limits", "openai")
    assert steady(said.out) == CONFIGURED.replace(
        "at most 200", "0 in flight of at most 200", 1
    ).replace("calls in flight", "calls")


def test_without_redis_what_settings_and_sql_know_is_shown(
    settings: Settings, database: Database, promptmill: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    promptmill("limits", "set", "openai/o3*", "rpd=2k")
    said = promptmill("limits", "openai")
    assert said.code == 0
    assert "redis://127.0.0.1:1/0 does not answer: ConnectionRefusedError" in said.err
    assert "secret" not in said.err
    shown = steady(said.out)
    assert shown == CONFIGURED.replace("rpd            1k", "rpd       2k live")
    (account, *_) = promptmill("limits", "openai", "--json").objects
    assert (account["redis"], account["in_flight"]) == (False, None)


def test_where_nothing_was_ever_done_limits_can_be_shown(
    promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTMILL_STATE_DIR", str(tmp_path / "state"))
    said = promptmill("limits")
    assert (said.code, said.out) == (0, "")
    assert "no Redis runs for this folder" in said.err
    assert "no limit is set, and none was used yet" in said.err
    assert not (tmp_path / "state").exists()


def test_a_refused_key_is_told_once_with_what_to_do(
    settings: Settings, database: Database, valkey: Valkey, promptmill: Here
) -> None:
    async def story(limiter: Limiter) -> None:
        scope = limiter.scope("openai", MINI, ONE)
        await limiter.permits.penalise(scope, kind=ErrorKind.KEY, pause_s=0, reason="key: 401")

    with_limiter(settings, valkey, story)
    assert "paused until told: key: 401\n" in promptmill("limits", "openai").out
    with database.write() as connection:
        pause_provider(
            connection, provider="openai", kind="key", reason="key: 401", fingerprint=ONE
        )
    shown = promptmill("limits", "openai").out
    assert shown.count("paused until") == 1
    assert "then `promptmill resume openai`" in " ".join(shown.split())
    assert "  paused  " in shown, "nothing is at hand while the account is paused"


@one_engine
@pytest.mark.parametrize("ago_s", [-60, 60])
def test_work_that_waits_for_a_start_is_told_while_somebody_asks(
    ago_s: float, settings: Settings, database: Database, valkey: Valkey, promptmill: Here
) -> None:
    async def story(limiter: Limiter) -> None:
        scope = limiter.scope("anthropic", "claude", ONE)  # 50 requests a minute
        waiting = [asyncio.ensure_future(limiter.permits.book(scope, SHORT)) for _ in range(30)]
        queued_s = 0.0
        while queued_s < 10:
            standing = await limiter.permits.level(scope)
            queued_s = standing.scope.queued_s if standing is not None else 0.0
        for each in waiting:
            each.cancel()

    with_limiter(settings, valkey, story, ago_s=ago_s)
    shown = ago_s < 0  # for a minute nobody asked
    assert ("of work waits for a start" in promptmill("limits").out) is shown
    assert (of_scope(promptmill("limits", "--json"), "claude")["queued_s"] >= 10) is shown


@one_engine
def test_an_unknown_limit_is_shown_as_tried_out(
    settings: Settings, database: Database, valkey: Valkey, promptmill: Here
) -> None:
    async def story(limiter: Limiter) -> None:
        await limiter.booked(limiter.scope("gemini", "gemini-flash", ONE), SHORT)

    with_limiter(settings, valkey, story)
    shown = promptmill("limits", "gemini").out
    assert "~600" in shown
    assert "no limit is known: requests a minute are tried out" in shown


@one_engine
def test_max_tokens_is_no_matter_where_it_is_not_charged(
    settings: Settings, database: Database, valkey: Valkey, promptmill: Here
) -> None:
    async def story(limiter: Limiter) -> None:
        for _ in range(60):
            scope = limiter.scope("anthropic", "claude", ONE)
            await limiter.answered(scope, LONG, Usage(410, 83))

    os.environ["PROMPTMILL_PROVIDERS__ANTHROPIC__LIMITS__RPM"] = "60k"
    os.environ["PROMPTMILL_PROVIDERS__ANTHROPIC__LIMITS__TPM"] = "60M"
    with_limiter(load_settings(), valkey, story)
    (learned,) = of_scope(promptmill("limits", "--json"), "claude")["learned"]
    assert learned["max_tokens"] == 4096
    assert learned["what_to_do"] is None
    os.environ["PROMPTMILL_PROVIDERS__ANTHROPIC__LIMITS__TOKENS"] = "max_tokens"
    (learned,) = of_scope(promptmill("limits", "--json"), "claude")["learned"]
    assert "with less, up to" in learned["what_to_do"]
