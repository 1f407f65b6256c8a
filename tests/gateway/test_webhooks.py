"""A tenant hears of the end of its batches in OpenAI's words, and OpenAI's client reads them."""

from openai import OpenAI
from openai.types.webhooks import BatchCompletedWebhookEvent, BatchFailedWebhookEvent

from promptmill.schema.tenants import set_tenant_webhook
from tests.gateway.orders import ended, line, order
from tests.services.running_gateway import RunningGateway
from tests.services.running_mill import MODELS, RunningMill
from tests.services.waiting import wait_until
from tests.webhooks.receiver import Receiver


def test_the_end_of_a_batch_is_told_to_its_tenant_alone_and_openais_client_believes_it(
    mill: RunningMill, served: RunningGateway
) -> None:
    listening, other = served.client(served.key("listening")), served.client(served.key("other"))
    with Receiver() as receiver:
        with mill.database.write() as connection:
            secret = set_tenant_webhook(connection, "listening", f"{receiver.url}/hook")
        assert secret is not None
        good = order(listening, line("a", MODELS["openai"]))
        bad = order(listening, line("a", MODELS["openai"]), "no line")
        ended(other, order(other, line("a", MODELS["openai"])))
        assert ended(listening, good).status == "completed"
        wait_until(lambda: len(receiver.received) == 2, "both ends to be told")
        reader = OpenAI(api_key="none", webhook_secret=secret.reveal())
        with reader:
            events = {
                event.type: event
                for one in receiver.received
                for event in [reader.webhooks.unwrap(one.body, one.headers)]
            }
    completed, failed = events["batch.completed"], events["batch.failed"]
    assert isinstance(completed, BatchCompletedWebhookEvent)
    assert isinstance(failed, BatchFailedWebhookEvent)
    assert (completed.data.id, failed.data.id) == (good.id, bad.id)
    assert completed.object == "event"
    assert completed.created_at >= good.created_at
