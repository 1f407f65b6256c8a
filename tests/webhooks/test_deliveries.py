"""News is sent until somebody takes it: by one at a time, signed, and to nobody it is not for."""

import socket
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from promptmill.producer.cli.webhooks import tell_webhooks
from promptmill.producer.webhooks.courier import Courier, courier_at_work
from promptmill.producer.webhooks.posting import Post
from promptmill.producer.webhooks.secret import webhook_secret
from promptmill.producer.webhooks.verdict import WAITS_S
from promptmill.schema.moves.endings import finish
from promptmill.schema.network import DIRECT, NetworkSettings
from promptmill.schema.settings import Settings
from promptmill.schema.webhook_deliveries import (
    Delivery,
    DeliveryState,
    NewDelivery,
    add_delivery,
    claim_due,
    close_delivery,
    count_deliveries,
    forget_deliveries,
    latest_deliveries,
    send_again,
)
from promptmill.schema.webhook_settings import WebhookSettings, new_secret
from tests.schema.scene import ANSWER, ANSWERED, Scene
from tests.services.waiting import wait_until
from tests.webhooks.receiver import Receiver

LEASE_S = 45.0


def settings(**webhooks: Any) -> Settings:
    return Settings(webhooks=WebhookSettings(**({"allow_private": True} | webhooks)))


def add(scene: Scene, url: str, subject: str = "1") -> None:
    with scene.database.write() as connection:
        add_delivery(connection, NewDelivery(subject, "batch.completed", url, '{"a": 1}'))


def claim(scene: Scene) -> list[Delivery]:
    with scene.database.write() as connection:
        return claim_due(connection, lease_s=LEASE_S, most=10)


def row(scene: Scene, no: int = 1) -> Any:
    (found,) = scene.sql(f"select * from webhook_deliveries where no = {no}")
    return found


def carry(scene: Scene, how: Settings | None = None) -> None:
    """Send all that is due, and wait for what comes of it."""
    courier = Courier(how or settings(), scene.database)
    courier.turn()
    courier.wait(10)


def test_of_two_couriers_one_sends_and_a_late_one_books_nothing(scene: Scene) -> None:
    add(scene, "https://a.example/")
    (first,) = claim(scene)
    assert claim(scene) == []
    scene.clock.advance(LEASE_S + 1)
    (second,) = claim(scene)
    assert (second.id, second.attempts, second.body) == (first.id, 2, '{"a": 1}')
    with scene.database.write() as connection:
        assert not close_delivery(connection, first, DeliveryState.GONE, answer="410")
        assert close_delivery(connection, second, DeliveryState.DELIVERED, answer="204")
        assert not close_delivery(connection, second, DeliveryState.DELIVERED, answer="204")
    assert (row(scene).state, row(scene).attempts, row(scene).leased_until) == (
        "delivered", 2, None
    )  # fmt: skip
    assert claim(scene) == []


def test_each_address_has_one_request_at_a_time_the_oldest_first(scene: Scene) -> None:
    for url in ("https://a.example/", "https://a.example/", "https://b.example/"):
        add(scene, url)
    one, other = claim(scene)
    assert [one.no, other.no] == [1, 3]
    with scene.database.write() as connection:
        close_delivery(connection, one, DeliveryState.PENDING, answer="503", again_s=60)
    assert [each.no for each in claim(scene)] == [2], "what waits holds up nothing behind it"


def test_addresses_that_take_nothing_come_behind_all_others_and_take_turns(scene: Scene) -> None:
    first, second, quick = "https://a.example/", "https://b.example/", "https://c.example/"
    for url in (*[first] * 9, *[second] * 9):
        add(scene, url)
    turns = []
    for _ in range(4):
        with scene.database.write() as connection:
            (one,) = claim_due(connection, lease_s=LEASE_S, most=1)
            turns.append(one.url)
            scene.clock.advance(1)
            close_delivery(connection, one, DeliveryState.PENDING, answer="503", again_s=60)
    assert turns == [first, second] * 2
    add(scene, quick)
    with scene.database.write() as connection:
        (one,) = claim_due(connection, lease_s=LEASE_S, most=1)
    assert one.url == quick


def test_what_cannot_be_sent_is_booked_and_not_claimed_again_and_again(scene: Scene) -> None:
    add(scene, "https://a.example/")
    webhook_secret(settings(), scene.database)  # it is made up
    scene.order("update secrets set value = 'no secret'")
    for _ in range(2):
        carry(scene)
    assert (row(scene).attempts, row(scene).answer) == (1, "not sent: ValueError")


def test_it_is_sent_again_under_one_id_until_it_is_taken(scene: Scene, receiver: Receiver) -> None:
    secret = new_secret()
    add(scene, f"{receiver.url}/hook")
    for status in (503, 302, 204):
        receiver.answers["/hook"] = status
        carry(scene, settings(secret=secret))
        carry(scene, settings(secret=secret))  # nothing is due yet
        scene.clock.advance(60 * 60)
    assert [one.path for one in receiver.received] == ["/hook"] * 3, "no redirect is followed"
    assert len({one.id for one in receiver.received}) == 1
    assert all(one.is_signed_by(secret) for one in receiver.received)
    assert not receiver.received[0].is_signed_by(new_secret())
    assert receiver.received[0].headers["content-type"] == "application/json"
    assert receiver.received[0].body == b'{"a": 1}'
    assert (row(scene).state, row(scene).attempts, row(scene).answer) == ("delivered", 3, "204")


def test_what_nobody_takes_for_three_days_is_given_up_and_can_be_sent_again(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = 500
    add(scene, f"{receiver.url}/hook")
    with capture_logs() as told:
        for wait_s in (*WAITS_S, 0):
            carry(scene)
            scene.clock.advance(1.2 * wait_s)
    assert [line["event"] for line in told] == ["webhook pending"] * 9 + ["webhook failed"]
    assert receiver.url.rpartition(":")[2] not in str(told), "an address may hold a secret"
    assert (row(scene).state, row(scene).attempts, row(scene).answer) == ("failed", 10, "500")
    receiver.answers.clear()
    with scene.database.write() as connection:
        assert send_again(connection, 1)
        assert not send_again(connection, 2)
    carry(scene)
    assert (row(scene).state, row(scene).attempts) == ("delivered", 1)
    with scene.database.write() as connection:
        assert count_deliveries(connection)[DeliveryState.DELIVERED] == 1
        assert forget_deliveries(connection, age_s=60) == 0
        scene.clock.advance(61)
        assert forget_deliveries(connection, age_s=60) == 1
        assert latest_deliveries(connection, most=5) == []


def test_who_is_gone_is_sent_nothing_more_until_somebody_says_so(
    scene: Scene, receiver: Receiver
) -> None:
    url = f"{receiver.url}/hook"
    receiver.answers["/hook"] = 410
    add(scene, url)
    add(scene, url)
    carry(scene)
    add(scene, url)
    scene.clock.advance(1)
    carry(scene)
    assert len(receiver.received) == 1
    assert [row(scene, no).state for no in (1, 2, 3)] == ["gone"] * 3
    receiver.answers.clear()
    with scene.database.write() as connection:
        assert send_again(connection, 2)
    carry(scene)
    scene.clock.advance(1)
    add(scene, url)
    carry(scene)
    assert [row(scene, no).state for no in (1, 2, 3, 4)] == ["gone", "delivered"] * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_address_is_found_out_when_it_is_connected_to(
    receiver: Receiver, host: str
) -> None:
    """As where a name meant something else a moment before: nobody looks at how it is written."""
    url = f"http://{host}:{receiver.port}/hook"
    guarded = Post(DIRECT, allow_private=False, timeout_s=10).send(url, b"{}", {})
    assert str(guarded) == "a private address, which is not called"
    assert receiver.received == []
    assert Post(DIRECT, allow_private=True, timeout_s=10).send(url, b"{}", {}).status == 204


def test_an_address_that_settings_no_longer_allow_is_not_called(
    scene: Scene, receiver: Receiver
) -> None:
    add(scene, f"{receiver.url}/hook")
    carry(scene, settings(allow_private=False))
    assert receiver.received == []
    assert "is not https" in row(scene).answer


def test_who_does_not_answer_in_time_or_is_not_there_is_told_apart(receiver: Receiver) -> None:
    post = Post(DIRECT, allow_private=True, timeout_s=0.2)
    assert str(post.send(f"{receiver.url}/slow", b"{}", {})) == "no answer within 0.2 s"
    nobody = Post(DIRECT, allow_private=True, timeout_s=10).send("http://127.0.0.1:1/", b"{}", {})
    assert str(nobody) == "no answer: ClientConnectorError"
    mistrusting = Post(
        NetworkSettings(ca_bundle=Path("gone.pem")), allow_private=True, timeout_s=10
    )
    assert "network.ca_bundle" in str(mistrusting.send(f"{receiver.url}/hook", b"{}", {}))


def test_a_name_that_is_looked_up_for_too_long_holds_nobody_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: receiver.open.wait(30))
    post = Post(DIRECT, allow_private=True, timeout_s=0.2)
    assert str(post.send("http://name.example/", b"{}", {})) == "no answer within 0.2 s"
    assert not receiver.open.is_set()


def test_a_courier_tells_of_batches_as_they_end_and_a_slow_receiver_holds_up_no_other(
    scene: Scene, receiver: Receiver
) -> None:
    slow = scene.load(1, webhook_url=f"{receiver.url}/slow")
    quick = [scene.load(1, webhook_url=f"{receiver.url}/quick") for _ in range(3)]
    how = settings(url=f"{receiver.url}/all", timeout_s=30)
    with courier_at_work(how, scene.database):
        for batch in (slow, *quick):
            ((job, fence),) = scene.claim(*scene.queue(batch)).items()
            scene.close(finish(job, fence, ANSWERED, ANSWER))
        wait_until(lambda: len(receiver.at("/quick")) == 3, "the quick one to hear of all")
        wait_until(lambda: len(receiver.at("/all")) == 4, "the one of the settings to hear of all")
        assert len(receiver.at("/slow")) == 1
        receiver.open.set()
        wait_until(
            lambda: scene.count("webhook_deliveries where state = 'delivered'") == 8,
            "the slow one to take it",
        )
    (taken,) = receiver.at("/slow")
    assert taken.event["data"]["batch"] == slow
    assert taken.is_signed_by(webhook_secret(how, scene.database))


def test_what_a_courier_had_in_hand_when_it_died_is_sent_by_the_next(
    scene: Scene, receiver: Receiver
) -> None:
    add(scene, f"{receiver.url}/hook")
    claim(scene)  # and nothing more: its process is gone
    scene.clock.advance(LEASE_S + 1)
    carry(scene)
    assert len(receiver.received) == 1
    assert (row(scene).state, row(scene).attempts) == ("delivered", 2)


def test_a_command_tells_what_its_batch_came_to_before_it_ends(
    scene: Scene, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    other = scene.load(1, webhook_url=f"{receiver.url}/other")
    batch = scene.load(1, webhook_url=f"{receiver.url}/hook")
    receiver.answers["/all"] = 500
    for each in (other, batch):
        ((job, fence),) = scene.claim(*scene.queue(each)).items()
        scene.close(finish(job, fence, ANSWERED, ANSWER))
    how = settings(url=f"{receiver.url}/all")
    for _ in range(2):
        tell_webhooks(how, scene.database, batch)
        assert "webhook 2 to 127.0.0.1" in (said := capsys.readouterr().err)
        assert "was not taken (500)" in said
    assert [one.path for one in receiver.received] == ["/hook", "/all"]
    assert [each.announced for each in scene.sql("select announced from batches order by id")] == [
        None, "completed"
    ]  # fmt: skip

    scene.order(f"update batches set webhook_url = null, announced = null where id = {batch}")
    tell_webhooks(settings(), scene.database, batch)
    assert scene.count("batches where announced is not null") == 0, "nobody is to hear"
    scene.order("drop table webhook_deliveries")
    tell_webhooks(how, scene.database, batch)
    assert "were not sent from here" in capsys.readouterr().err


def test_an_idle_courier_writes_nothing(scene: Scene) -> None:
    courier = Courier(settings(), scene.database)
    courier._tidy_at += 3600
    courier.turn()
    with scene.database.write() as blocker:
        # SQLite has one writer: a turn that wrote would wait for this one, and fail.
        courier.turn()
        assert blocker.in_transaction()
