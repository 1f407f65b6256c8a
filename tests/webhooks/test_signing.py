"""What is signed, and what an answer comes to."""

from random import Random

import pytest

from promptmill.producer.webhooks.signature import signed_headers
from promptmill.producer.webhooks.verdict import WAITS_S, Answer, judge
from promptmill.schema.webhook_deliveries import DeliveryState
from promptmill.schema.webhook_settings import signing_keys


def test_a_signature_is_the_one_that_the_libraries_of_the_standard_are_tested_with() -> None:
    keys = signing_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at=1614265330, keys=keys
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_changes_there_is_a_signature_by_each() -> None:
    one, other = (
        signed_headers("msg_1", b"{}", at=1, keys=keys)["webhook-signature"]
        for keys in ([b"a" * 24], [b"b" * 24])
    )
    both = signed_headers("msg_1", b"{}", at=1, keys=[b"a" * 24, b"b" * 24])
    assert both["webhook-signature"] == f"{one} {other}"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(200), DeliveryState.DELIVERED),
        (Answer(299), DeliveryState.DELIVERED),
        (Answer(410), DeliveryState.GONE),
        (Answer(301), DeliveryState.PENDING),
        (Answer(404), DeliveryState.PENDING),
        (Answer(429), DeliveryState.PENDING),
        (Answer(500), DeliveryState.PENDING),
        (Answer(None, "no answer"), DeliveryState.PENDING),
    ],
)
def test_an_answer_ends_a_delivery_or_has_it_sent_again(
    answer: Answer, state: DeliveryState
) -> None:
    assert judge(answer, 1, dice=Random(1)).state is state


def test_waits_grow_to_three_days_and_then_it_is_given_up() -> None:
    no = Answer(503)
    waits = [judge(no, attempt, dice=Random(1)).again_s for attempt in range(1, 10)]
    assert all(least <= wait <= 1.1 * least for least, wait in zip(WAITS_S, waits, strict=True))
    assert 3 * 86_400 < sum(WAITS_S) < 3.5 * 86_400
    assert judge(no, len(WAITS_S) + 1, dice=Random(1)).state is DeliveryState.FAILED
