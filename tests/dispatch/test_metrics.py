"""What a dispatcher tells Prometheus: read from real SQL and Redis, over real HTTP."""

import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from math import inf
from threading import Event, Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families

from promptmill.producer.dispatching.dispatch import run_dispatcher
from promptmill.producer.limits.reading import LimitReader
from promptmill.producer.metrics import table as metrics
from promptmill.producer.metrics.queue_reading import QueueReader
from promptmill.producer.metrics.server import MillCollector, served_metrics
from promptmill.producer.metrics.spread import Spread
from promptmill.producer.metrics.table import METRICS
from promptmill.producer.metrics.values import MetricsReader, Sample
from promptmill.schema.broker import redis_url
from promptmill.schema.moves.endings import finish, hold, snooze
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.pauses import pause_provider
from promptmill.schema.private import private_folder
from promptmill.schema.settings import ProviderSettings, Settings
from promptmill.workers.limits.limit import Estimate
from tests.cli.limiter import Limiter, with_limiter
from tests.dispatch.mill import Mill
from tests.schema.scene import ANSWER, ANSWERED, BUSY, CUT, MODEL, PROVIDER
from tests.services.waiting import wait_until

KEY = "1f0c22aa"
SCOPE = {"provider": PROVIDER, "model": MODEL}
LIMITS = {"limits": {"rpm": 6000, "rpd": 1000}, "concurrency": 40}


@pytest.fixture
def limited(mill: Mill) -> Settings:
    """Settings with limits, over this mill's services."""
    provider = ProviderSettings.model_validate({"kind": "openai", **LIMITS})
    return mill.settings.model_copy(update={"providers": {PROVIDER: provider}})


@pytest.fixture
def reader(mill: Mill, limited: Settings) -> Iterator[MetricsReader]:
    """The reader of a dispatcher that stands by."""
    with (
        closing(LimitReader(mill.valkey.url, prefix=limited.key_prefix)) as limits,
        closing(QueueReader(limited)) as queues,
    ):
        yield MetricsReader(limited, mill.database, limits, queues, lambda: False)


def values_of(samples: list[Sample]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Sort the values; of a histogram the count is taken."""
    return {
        (each.metric.shown_name, frozenset(zip(each.metric.labels, each.labels, strict=True))): (
            each.value.buckets[-1][1] if isinstance(each.value, Spread) else each.value
        )
        for each in samples
    }


def told(samples: list[Sample], name: str, **labels: str) -> float:
    """Find the value of one sample, which is there."""
    return values_of(samples)[name, frozenset(labels.items())]


def is_told(samples: list[Sample], name: str, **labels: str) -> bool:
    return (name, frozenset(labels.items())) in values_of(samples)


def refused(mill: Mill, settings: Settings) -> None:
    """Let a worker book once, and be refused for half a minute."""

    async def story(limiter: Limiter) -> None:
        scope = limiter.scope(PROVIDER, MODEL, KEY)
        await limiter.booked(scope, Estimate(10, 10))
        await limiter.permits.penalise(scope, kind=ErrorKind.RATE, pause_s=30, reason="429")

    with_limiter(settings, mill.valkey, story)


def scraped(port: int) -> Mapping[str, float]:
    """Scrape as Prometheus does; the values of metrics without labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    assert {each.name for each in families} == {each.name for each in METRICS}
    assert {each.type for each in families} == {"counter", "gauge", "histogram"}
    return {
        sample.name: sample.value
        for family in families
        for sample in family.samples
        if not sample.labels
    }


def test_jobs_attempts_and_usage_are_told_by_model(mill: Mill, reader: MetricsReader) -> None:
    batch = mill.scene.load(5)
    one, two, three = mill.scene.claim(*mill.scene.queue(batch, most=3)).items()
    mill.scene.close(finish(*one, ANSWERED, ANSWER), snooze(*two, BUSY, 5), hold(*three, CUT))
    mill.scene.clock.advance(30)
    samples = reader.read()
    jobs = {"pending": 2, "succeeded": 1, "waiting": 1, "quarantined": 1, "running": 0}
    for state, count in jobs.items():
        assert told(samples, "promptmill_jobs", **SCOPE, state=state) == count
    values = {
        "promptmill_attempts_total": 3,
        "promptmill_answers_total": 1,
        "promptmill_unknown_attempts": 1,
        "promptmill_cost_dollars_total": 0.0015,
        "promptmill_unpriced_answers_total": 0,
        "promptmill_oldest_waiting_seconds": pytest.approx(30),
    }
    for name, value in values.items():
        assert told(samples, name, **SCOPE) == value, name
    assert told(samples, "promptmill_refusals_total", **SCOPE, kind="rate") == 1
    assert told(samples, "promptmill_tokens_total", **SCOPE, direction="input") == 100
    assert told(samples, "promptmill_tokens_total", **SCOPE, direction="output") == 20


def test_the_usual_names_of_an_llm_service_are_told_by_model(
    mill: Mill, reader: MetricsReader
) -> None:
    batch = mill.scene.load(3)
    one, two, three = mill.scene.claim(*mill.scene.queue(batch, most=3)).items()
    mill.scene.close(finish(*one, ANSWERED, ANSWER), snooze(*two, BUSY, 5), hold(*three, CUT))
    samples = reader.read()
    assert told(samples, "llm_requests_total", model=MODEL, status="success") == 1
    assert told(samples, "llm_requests_total", model=MODEL, status="error") == 1
    assert told(samples, "llm_tokens_total", model=MODEL, type="output") == 20
    (spread,) = [each.value for each in samples if isinstance(each.value, Spread)]
    up_to = dict(spread.buckets)
    assert (up_to["1.0"], up_to["2.5"], up_to["+Inf"]) == (0, 1, 1)
    assert spread.sum_s == pytest.approx(1.234, rel=0.05)


def test_the_first_token_of_streamed_answers_is_told_by_model(
    mill: Mill, reader: MetricsReader
) -> None:
    job, fence = mill.scene.running()
    mill.scene.close(finish(job, fence, replace(ANSWERED, first_token_ms=321), ANSWER))
    (first,) = [each for each in reader.read() if each.metric is metrics.FIRST_TOKEN]
    assert isinstance(first.value, Spread)
    assert first.value.sum_s == pytest.approx(0.321, rel=0.05)


def test_batches_that_have_jobs_left_and_their_queue_are_told(
    mill: Mill, reader: MetricsReader
) -> None:
    done, batch = mill.scene.load(1), mill.scene.load(2)
    ((job, fence),) = mill.scene.claim(*mill.scene.queue(done, most=1)).items()
    mill.scene.close(finish(job, fence, ANSWERED, ANSWER))
    mill.dispatcher().round()
    samples = reader.read()
    assert told(samples, "promptmill_batch_jobs", batch=str(batch), state="queued") == 2
    batches = {each.labels[0] for each in samples if each.metric.name == "promptmill_batch_jobs"}
    assert batches == {str(batch)}
    assert told(samples, "promptmill_queue_hints", provider=PROVIDER) == 2


def test_an_answer_that_is_adopted_late_takes_nothing_off_a_counter(
    mill: Mill, reader: MetricsReader
) -> None:
    job, fence = mill.scene.running()
    mill.scene.rescue((job, fence))
    before = reader.read()
    mill.scene.close(finish(job, fence, ANSWERED, ANSWER))
    after = reader.read()
    assert told(before, "promptmill_unknown_attempts", **SCOPE) == 1
    assert told(after, "promptmill_unknown_attempts", **SCOPE) == 0
    later = values_of(after)
    for key, value in values_of(before).items():
        if key[0].endswith("_total"):
            assert later[key] >= value, key


def test_workers_that_do_not_beat_are_not_counted(mill: Mill, reader: MetricsReader) -> None:
    mill.scene.load(1)
    assert told(reader.read(), "promptmill_workers", provider=PROVIDER) == 0
    mill.worker("w1")
    mill.worker("w2", keys={PROVIDER: "k2", "gemini": "-"})
    assert told(reader.read(), "promptmill_workers", provider=PROVIDER) == 2
    assert not is_told(reader.read(), "promptmill_workers", provider="gemini")
    mill.scene.clock.advance(61)
    mill.beat("w2")
    assert told(reader.read(), "promptmill_workers", provider=PROVIDER) == 1


def test_limits_are_told_as_the_workers_keep_them(
    mill: Mill, limited: Settings, reader: MetricsReader
) -> None:
    refused(mill, limited)
    samples = reader.read()
    scope = {**SCOPE, "account": KEY}
    minute, day = scope | {"dimension": "rpm"}, scope | {"dimension": "rpd"}
    assert told(samples, "promptmill_limit_configured", **minute) == 6000
    assert told(samples, "promptmill_limit_enforced", **minute) == 6000
    assert told(samples, "promptmill_limit_permits_per_second", **minute) > 90
    assert not is_told(samples, "promptmill_limit_told", **minute)
    assert told(samples, "promptmill_limit_used_today", **day) == 1
    assert not is_told(samples, "promptmill_limit_level", **day)
    assert 0.05 < told(samples, "promptmill_limit_rate_ratio", **scope) < 1
    assert 10 < told(samples, "promptmill_limit_paused_seconds", **scope) <= 30
    assert told(samples, "promptmill_limit_queued_seconds", **scope) == 0
    account = {"provider": PROVIDER, "account": KEY}
    assert told(samples, "promptmill_calls_in_flight", **account) == 1
    assert told(samples, "promptmill_calls_in_flight_limit", **account) == 40


def test_a_pause_until_told_has_no_end(
    mill: Mill, limited: Settings, reader: MetricsReader
) -> None:
    refused(mill, limited)
    with mill.database.write() as connection:
        pause_provider(connection, provider=PROVIDER, kind="user", reason="by hand")
    labels = {"provider": PROVIDER, "model": "*", "account": KEY}
    assert told(reader.read(), "promptmill_limit_paused_seconds", **labels) == inf


def test_without_redis_the_rest_is_told(mill: Mill, limited: Settings) -> None:
    mill.scene.load(2)
    away = limited.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    with (
        closing(LimitReader(redis_url(away), prefix="t:")) as limits,
        closing(QueueReader(away)) as queues,
    ):
        samples = MetricsReader(limited, mill.database, limits, queues, lambda: True).read()
    assert told(samples, "promptmill_service_up", service="redis") == 0
    assert told(samples, "promptmill_service_up", service="sql") == 1
    assert told(samples, "promptmill_jobs", **SCOPE, state="pending") == 2
    assert told(samples, "promptmill_leader") == 1
    assert not [each for each in samples if each.metric.name == "promptmill_calls_in_flight"]


def test_without_sql_the_rest_is_told(mill: Mill, limited: Settings, reader: MetricsReader) -> None:
    refused(mill, limited)
    with mill.database.write() as connection:
        connection.exec_driver_sql("alter table limits rename to gone")
    samples = reader.read()
    assert told(samples, "promptmill_service_up", service="sql") == 0
    assert told(samples, "promptmill_service_up", service="redis") == 1
    assert told(samples, "promptmill_calls_in_flight", provider=PROVIDER, account=KEY) == 1


def test_answers_that_wait_for_sql_are_told_by_what_became_of_their_worker(
    mill: Mill, limited: Settings, reader: MetricsReader
) -> None:
    private_folder(limited.spool_dir)
    (limited.spool_dir / "a.spool").write_bytes(b"{}")
    samples = reader.read()
    kinds = ("left", "held", "refused", "damaged")
    assert [told(samples, "promptmill_spool_files", kind=kind) for kind in kinds] == [1, 0, 0, 0]


def test_scrapes_within_a_second_cost_one_look() -> None:
    clock, looks = [100.0], []

    def read() -> list[Sample]:
        looks.append(clock[0])
        return []

    collector = MillCollector(read, clock=lambda: clock[0])
    for clock[0] in (100.0, 100.5, 100.99, 101.0, 101.5):
        collector.collect()
    assert looks == [100.0, 101.0]


def test_a_dispatcher_serves_its_metrics(mill: Mill, limited: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = mill.database.url.render_as_string(hide_password=False)
    update = {"metrics_port": port, "database_url": url}
    stop = Event()
    thread = Thread(target=run_dispatcher, args=(limited.model_copy(update=update), stop))
    thread.start()
    try:
        wait_until(lambda: _leads(port), "the dispatcher to tell that it leads")
    finally:
        stop.set()
        thread.join()
    with pytest.raises(OSError, match="refused"):
        scraped(port)


def _leads(port: int) -> bool:
    try:
        return scraped(port)["promptmill_leader"] == 1
    except OSError:
        return False


def test_a_standby_serves_too_and_says_that_it_does_not_lead(mill: Mill, limited: Settings) -> None:
    lead, standby = mill.dispatcher("d1"), mill.dispatcher("d2")
    lead.round()
    standby.round()
    url = mill.database.url.render_as_string(hide_password=False)
    served = limited.model_copy(update={"metrics_port": 0, "database_url": url})
    found = []
    for dispatcher in (lead, standby):
        with served_metrics(served, leads=partial(getattr, dispatcher, "leads")) as port:
            assert port is not None
            found.append(scraped(port)["promptmill_leader"])
    assert found == [1, 0]


def test_a_port_that_is_taken_stops_no_dispatcher(mill: Mill, limited: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        update = {"metrics_port": taken.getsockname()[1], "database_url": "sqlite:///unused.db"}
        served = limited.model_copy(update=update)
        with served_metrics(served, leads=lambda: True) as port:
            assert port is None


def test_without_a_port_nothing_is_served(limited: Settings) -> None:
    with served_metrics(limited, leads=lambda: True) as port:
        assert port is None
