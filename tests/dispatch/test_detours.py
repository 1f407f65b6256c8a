"""What waits for a model that will not answer soon goes to the next one that can."""

from typing import Any

from promptmill.producer.dispatching.detours import Detours
from promptmill.schema.fallbacks import Fallback, When, write_rules
from promptmill.schema.pauses import pause_provider
from promptmill.schema.pools import NO_POOLS, Pools, PoolSettings
from promptmill.schema.presence import NO_KEY
from promptmill.schema.settings import RetrySettings
from tests.dispatch.mill import Mill
from tests.schema.scene import MODEL, PROVIDER, new_jobs

ASKED = f"{PROVIDER}/{MODEL}"
SECOND, THIRD = "anthropic/claude-test", "gemini/flash-test"
RULES = write_rules(
    {ASKED: (Fallback(SECOND, (When.PAUSED,)), Fallback(THIRD, (When.PAUSED, When.DEADLINE)))}
)
KEYS = {PROVIDER: "k1", "anthropic": "k2", "gemini": "k3"}


def turned(mill: Mill, pools: Pools = NO_POOLS) -> dict[str, int]:
    """Let the dispatcher look until nothing moves; count jobs by the model that they are at."""
    detours = Detours(RetrySettings(), mill.database, clock=mill.now, pools=pools)
    while detours.turn():
        pass
    rows = mill.scene.sql("select provider, model, count(*) as n from jobs group by 1, 2")
    return {f"{row.provider}/{row.model}": row.n for row in rows}


def pause(mill: Mill, provider: str, *, key: str = "", **changes: Any) -> None:
    with mill.database.write() as connection:
        pause_provider(
            connection, provider=provider, kind="key", reason="key", fingerprint=key, **changes
        )


def test_the_first_model_that_is_not_paused_is_asked(mill: Mill) -> None:
    mill.worker(keys=KEYS)
    mill.scene.load(1500, fallbacks=RULES)
    pause(mill, PROVIDER, seconds=59)
    assert turned(mill) == {ASKED: 1500}, "a short pause is waited for"
    pause(mill, PROVIDER, key="k9")
    assert turned(mill) == {ASKED: 1500}, "a worker has another key"
    pause(mill, PROVIDER, key="k1")
    pause(mill, "anthropic", key=KEYS["anthropic"])
    assert turned(mill) == {THIRD: 1500}
    mill.scene.assert_sums()
    pause(mill, "gemini")
    assert turned(mill) == {THIRD: 1500}, "nobody is left"


def test_a_key_that_no_worker_has_is_a_pause_and_no_rule_is_none(mill: Mill) -> None:
    mill.worker(keys=KEYS | {PROVIDER: NO_KEY})
    pause(mill, PROVIDER, key=NO_KEY)
    mill.scene.load(2, fallbacks=RULES)
    mill.scene.load(3)
    assert turned(mill) == {ASKED: 3, SECOND: 2}


def test_a_pool_is_paused_where_one_member_is_and_nobody_calls_another(mill: Mill) -> None:
    pooled = f"both/{MODEL}"
    pools = {"both": PoolSettings(members={PROVIDER: 3, "second": 1, "third": 1})}
    mill.worker(keys={"anthropic": "k2", PROVIDER: "k1"})
    rules = write_rules({pooled: (Fallback(SECOND, (When.PAUSED,)),)})
    mill.scene.load(5, jobs=new_jobs(5, provider="both"), fallbacks=rules)
    pause(mill, "second")
    assert turned(mill, pools) == {pooled: 5}, "the first can be asked, the third has no worker"
    pause(mill, PROVIDER)
    assert turned(mill, pools) == {SECOND: 5}


def test_near_its_deadline_a_batch_asks_who_is_named_for_that(mill: Mill) -> None:
    mill.worker(keys=KEYS)
    mill.scene.load(3, fallbacks=RULES, deadline_s=700.0)
    mill.scene.load(2, fallbacks=RULES)
    assert turned(mill) == {ASKED: 5}
    mill.scene.clock.advance(101)
    assert turned(mill) == {ASKED: 2, THIRD: 3}
    mill.scene.assert_sums()
