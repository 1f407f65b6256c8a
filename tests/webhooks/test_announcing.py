"""What becomes of a batch is announced once, to everybody who is to hear, and to nobody else."""

import json
from typing import Any

from structlog.testing import capture_logs

from promptmill.producer.webhooks.courier import announce_news
from promptmill.schema.moves.announcing import announce, found_news, set_webhook
from promptmill.schema.moves.endings import fail, finish
from promptmill.schema.moves.steering import (
    cancel_batch,
    cancel_jobs,
    pause_batch,
    replay_jobs,
    resume_batch,
)
from promptmill.schema.states import JobState
from promptmill.schema.webhook_settings import WebhookSettings
from tests.schema.scene import ANSWER, ANSWERED, REFUSED, Scene

OWN, ALL = "https://own.example/hook", "https://all.example/hook"
TOLD = WebhookSettings(url=ALL)


def told(scene: Scene, webhooks: WebhookSettings = TOLD) -> list[tuple[str, Any]]:
    """Announce, and return what is to be sent to whom since the last time."""
    announce_news(scene.database, webhooks)
    rows = scene.sql("select url, body from webhook_deliveries order by no")
    scene.order("delete from webhook_deliveries")
    return [(row.url, json.loads(row.body)) for row in rows]


def test_the_end_of_a_batch_is_told_once_with_its_counts_and_its_cost(scene: Scene) -> None:
    batch = scene.load(2, name="reviews.csv", webhook_url=OWN)
    first, second = scene.claim(*scene.queue(batch)).items()
    scene.close(finish(*first, ANSWERED, ANSWER))
    assert told(scene) == []
    scene.close(fail(*second, REFUSED))
    sent = told(scene)
    assert [url for url, _ in sent] == [OWN, ALL]
    assert sent[0][1] == sent[1][1]
    assert sent[0][1] == {
        "type": "batch.completed",
        "timestamp": scene.clock(),
        "data": {
            "batch": batch,
            "name": "reviews.csv",
            "state": "ended",
            "total": 2,
            "succeeded": 1,
            "failed": 1,
            "cancelled": 0,
            "cost_usd": 0.0015,
            "reason": None,
        },
    }
    assert told(scene) == []

    with scene.database.write() as connection:
        assert replay_jobs(connection, batch, [JobState.FAILED]) == [second[0]]
        assert replay_jobs(connection, batch, [JobState.FAILED]) == []
    assert told(scene) == []
    again = scene.again(second[0])
    scene.close(finish(*again, ANSWERED, ANSWER))
    assert [event["data"]["succeeded"] for _, event in told(scene)] == [2, 2]
    with scene.database.write() as connection:
        assert replay_jobs(connection, batch, [JobState.FAILED]) == []
    assert told(scene) == []


def test_a_pause_is_told_by_its_first_words_and_a_cancel_when_the_last_call_has_ended(
    scene: Scene,
) -> None:
    batch = scene.load(2)
    (hint, _) = scene.queue(batch)
    ((job, fence),) = scene.claim(hint).items()
    with scene.database.write() as connection:
        pause_batch(connection, batch, "max-failures reached: 1 failed, for example: my prompt")
    ((url, event),) = told(scene)
    assert (url, event["type"], event["data"]["state"]) == (ALL, "batch.paused", "paused")
    assert event["data"]["reason"] == "max-failures reached"
    assert told(scene) == []
    with scene.database.write() as connection:
        resume_batch(connection, batch)
    assert told(scene) == []
    with scene.database.write() as connection:
        pause_batch(connection, batch, "by hand")
    assert [event["data"]["reason"] for _, event in told(scene)] == ["by hand"]

    with scene.database.write() as connection:
        cancel_batch(connection, batch)
        cancel_jobs(connection, batch)
    assert told(scene) == []
    scene.close(finish(job, fence, ANSWERED, ANSWER))
    ((_, event),) = told(scene)
    assert (event["type"], event["data"]["state"]) == ("batch.cancelled", "cancelled")
    assert (event["data"]["succeeded"], event["data"]["cancelled"]) == (1, 1)


def test_news_that_is_old_when_it_is_to_be_announced_is_announced_by_nobody(scene: Scene) -> None:
    batch = scene.load(1)
    ((job, fence),) = scene.claim(*scene.queue(batch)).items()
    scene.close(fail(job, fence, REFUSED))
    with scene.database.read() as connection:
        (seen,) = found_news(connection)
    with scene.database.write() as connection:
        replay_jobs(connection, batch, [JobState.FAILED])
    with scene.database.write() as connection:
        assert not announce(connection, seen, [ALL])
    assert told(scene) == []


def test_a_batch_that_cannot_be_announced_keeps_no_other_from_it(scene: Scene) -> None:
    broken, other = scene.load(1, name="broken"), scene.load(1)
    for batch in (broken, other):
        ((job, fence),) = scene.claim(*scene.queue(batch)).items()
        scene.close(finish(job, fence, ANSWERED, ANSWER))
    scene.order(
        "insert into batch_counts (batch_id, provider, model, state, jobs)"
        f" select batch_id, provider, model, 99, 1 from batch_counts where batch_id = {broken}"
        " and state = 4"
    )
    failed: set[int] = set()
    with capture_logs() as logged:
        for announced in ([other], []):
            found = announce_news(scene.database, TOLD, failed=failed)
            assert [one.batch_id for one in found] == announced
    assert logged == [
        {"event": "not announced", "log_level": "error", "batch": broken, "error": "ValueError"}
    ]


def test_who_is_named_after_the_end_hears_of_it_at_once_and_others_not_again(scene: Scene) -> None:
    ((job, fence),) = scene.claim(*scene.queue(batch := scene.load(1))).items()
    scene.close(finish(job, fence, ANSWERED, ANSWER))
    assert [url for url, _ in told(scene)] == [ALL]
    for _ in range(2):
        with scene.database.write() as connection:
            set_webhook(connection, batch, OWN)
    assert [(url, event["type"]) for url, event in told(scene)] == [(OWN, "batch.completed")]
    with scene.database.write() as connection:
        set_webhook(connection, batch, "")
    assert told(scene) == []


def test_clients_of_the_gateway_and_batches_that_are_loading_are_left_out(scene: Scene) -> None:
    tenants = scene.load(1, tenant_id=1, name="a client's")
    ((job, fence),) = scene.claim(*scene.queue(tenants)).items()
    scene.close(finish(job, fence, ANSWERED, ANSWER))
    scene.order("update batches set state = 'loading' where id = " + str(scene.load(1)))
    assert told(scene) == []


def test_where_nobody_listens_the_end_is_marked_all_the_same(scene: Scene) -> None:
    ((job, fence),) = scene.claim(*scene.queue(scene.load(1))).items()
    scene.close(finish(job, fence, ANSWERED, ANSWER))
    assert told(scene, WebhookSettings()) == []
    assert told(scene) == [], "a setting that comes later tells no old news"
