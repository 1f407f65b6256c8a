"""`promptmill webhooks`, and who is to be told."""

from pathlib import Path

import pytest

from promptmill.schema.webhook_deliveries import NewDelivery, add_delivery
from promptmill.schema.webhook_settings import signing_keys
from tests.cli.promptmill import Here
from tests.schema.scene import Scene

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
URL = "https://receiver.example/hook/of-a-secret"


def test_deliveries_are_listed_by_batch_and_sent_again(promptmill: Here, scene: Scene) -> None:
    assert "no webhook yet" in promptmill("webhooks", "list").err
    with scene.database.write() as connection:
        for subject in ("1", "batch_a"):
            add_delivery(connection, NewDelivery(subject, "batch.completed", URL, "{}"))
    scene.order("update webhook_deliveries set state = 'failed', attempts = 10, answer = '500',"
                " ended_at = made_at where no = 1")  # fmt: skip
    (row,) = promptmill("webhooks", "list", "1", "--json").objects
    assert {name: row[name] for name in ("number", "batch", "state", "attempts", "answer")} == {
        "number": 1, "batch": "1", "state": "failed", "attempts": 10, "answer": "500"
    }  # fmt: skip
    assert (row["next"], bool(row["ended"])) == (None, True)
    shown = promptmill("webhooks", "list").out
    assert "receiver.example" in shown
    assert "of-a-secret" not in shown
    assert promptmill("webhooks", "send", 1).code == 0
    assert promptmill("webhooks", "list", "1", "--json").objects[0]["state"] == "pending"
    missing = promptmill("webhooks", "send", 7)
    assert (missing.code, "no webhook 7" in missing.err) == (2, True)


def test_a_submit_names_who_hears_and_refuses_who_may_not(
    promptmill: Here, scene: Scene, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Hello\n", encoding="utf-8")
    words = ("submit", prompts, "-m", "gpt-4o-mini")
    refused = promptmill(*words, "--webhook", "https://localhost/hook")
    assert (refused.code, "localhost is this machine" in refused.err) == (2, True)
    assert scene.count("batches") == 0
    found = []
    for url in (URL, f"{URL}2", "none"):
        assert promptmill(*words, "--webhook", url).code == 0
        found += [row.webhook_url for row in scene.sql("select webhook_url from batches")]
    assert found == [URL, f"{URL}2", None]


def test_the_secret_is_made_up_once_and_a_tenant_has_its_own(
    promptmill: Here, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = promptmill("webhooks", "secret").out.strip()
    assert len(signing_keys(ours)) == 1
    assert promptmill("webhooks", "secret").out.strip() == ours
    promptmill("keys", "add", "team")
    said = promptmill("tenants", "set", "team", "--webhook", URL)
    assert "is shown this once" in said.err
    again = promptmill("tenants", "set", "team", "--webhook", URL).out.strip()
    assert len({ours, said.out.strip(), again}) == 3
    assert promptmill("tenants", "list", "--json").objects[0]["webhook"] == URL
    assert "of-a-secret" not in promptmill("tenants", "list").out
    nobody = promptmill("tenants", "set", "team", "--webhook", "none")
    assert (nobody.out, promptmill("tenants", "list", "--json").objects[0]["webhook"]) == ("", None)
    assert promptmill("tenants", "set", "nobody", "--webhook", URL).code == 2
    monkeypatch.setenv("PROMPTMILL_WEBHOOKS__SECRET", said.out.strip())
    assert promptmill("webhooks", "secret").out == said.out
