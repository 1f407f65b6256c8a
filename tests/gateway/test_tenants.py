"""What a tenant may spend and how often it may ask, whatever others do."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import BadRequestError, OpenAI, RateLimitError

from promptmill.schema.database import Database
from promptmill.schema.moves.allowances import Used, lift_budgets, parts_of
from promptmill.schema.pauses import lift_pauses, pause_provider
from promptmill.schema.settings import Settings
from promptmill.schema.tenant_options import Option, set_option
from promptmill.schema.tenants import set_tenant_budget, set_tenant_rpm
from tests.gateway.orders import ended, line, order
from tests.services.running_gateway import RunningGateway
from tests.services.running_mill import MODELS, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

MODEL = MODELS["openai"]
EMAIL, OTHER = "ada@example.com", "bob@example.org"
SET: dict[Option, str | int] = {
    Option.MASK_PII: "both",
    Option.TRUNCATE: "head",
    Option.MAX_INPUT_TOKENS: 100,
    Option.CHECKS: "error",
}
BATCHES = st.tuples(
    st.none() | st.integers(0, 300),
    st.integers(0, 300),
    st.none() | st.integers(1, 99),
    st.booleans(),
)


@given(st.integers(0, 1000), st.lists(BATCHES, max_size=6))
def test_parts_of_a_budget_never_come_to_more_than_it(
    budget: int, rows: list[tuple[int | None, int, int | None, bool]]
) -> None:
    batches = [Used(n, *row) for n, row in enumerate(rows)]
    parts = dict(parts_of(budget, batches))
    after = [parts.get(one.batch_id, one.budget or 0) for one in batches if one.is_open]
    used = sum(one.used for one in batches if not one.is_open)
    over = sum(one.used for one in batches)
    if after:
        assert sum(after) + used <= max(budget, over)
    assert all(part >= batches[n].used for n, part in parts.items())


def test_two_batches_share_a_budget_never_spend_more_and_go_on_when_it_is_lifted(
    mill: RunningMill, served: RunningGateway
) -> None:
    client = served.client(served.key("poor"))
    with mill.database.write() as connection:
        poor = set_tenant_budget(connection, "poor", 150)
        pause_provider(connection, provider="openai", kind="key", reason="until both are there")
    assert poor is not None
    both = [
        order(client, *(line(f"{name}{n}", MODELS["openai"], f"{name} {n}") for n in range(12)))
        for name in "ab"
    ]
    shares = f"select count(*) as n from batches where budget_micros > 0 and tenant_id = {poor}"
    wait_until(lambda: mill.sql(shares)[0]["n"] == 2, "both to have their part")
    with mill.database.write() as connection:
        lift_pauses(connection, provider="openai")
    paused = "select count(*) as n from batches where state = 'paused' and tenant_id = "
    wait_until(lambda: mill.sql(f"{paused}{poor}")[0]["n"] == 2, "both to be held by the budget")
    cost = (
        "select sum(cost_micros) as n from attempts a join batches b on b.id = a.batch_id"
        f" where b.tenant_id = {poor}"
    )
    assert 50 <= mill.sql(cost)[0]["n"] <= 150
    with pytest.raises(RateLimitError) as refused:
        client.with_options(max_retries=0).chat.completions.create(
            model=MODELS["openai"], messages=[{"role": "user", "content": "dear"}], max_tokens=9000
        )
    assert refused.value.code == "insufficient_quota"
    with mill.database.write() as connection:
        set_tenant_budget(connection, "poor", None)
        lift_budgets(connection, poor)
    for one in both:
        counts = ended(client, one).request_counts
        assert counts
        assert counts.completed == 12
    assert_world(mill)


def test_what_a_tenant_sends_is_masked_cut_and_checked_live_and_in_batches(
    mill: RunningMill, served: RunningGateway
) -> None:
    client = served.client(served.key("careful")).with_options(max_retries=0)
    with mill.database.write() as connection:
        for option, value in SET.items():
            assert set_option(connection, "careful", option, value)
    said = {"role": "assistant", "content": f"Ask <EMAIL_1> or {OTHER}"}
    choice = {"index": 0, "finish_reason": "stop", "message": said}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    answer: dict[str, Any] = {"id": "x", "object": "chat.completion", "model": MODEL}
    answer |= {"choices": [choice], "usage": usage}
    mill.simulator.add_fault("raw", contains="Who is <EMAIL_1>?", body=json.dumps(answer))

    def ask(text: str, **more: Any) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return client.chat.completions.create(model=MODEL, messages=messages, **more)

    masked = "Ask <EMAIL_1> or <EMAIL_A1>"
    assert ask(f"Who is {EMAIL}?").choices[0].message.content == masked
    chunks = ask(f"Who is {EMAIL}?", stream=True)
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == masked
    with pytest.raises(BadRequestError, match="script"):
        ask("<script>alert(1)</script>")

    bad = ended(client, order(client, line("bad", MODEL, "<script>alert(1)</script>")))
    assert bad.status == "failed"
    long = f"Who is {EMAIL}? " + "And who is that? " * 40
    good = ended(client, order(client, line("good", MODEL, long)))
    assert good.request_counts
    assert good.request_counts.completed == 1
    (cut,) = mill.sql(
        "select t.how, t.sent_tokens, p.body from truncations t"
        " join job_payloads p on p.job_id = t.job_id"
        " join gateway_batches g on g.batch_id = (select batch_id from jobs where id = t.job_id)"
        f" where g.id = '{good.id}'"
    )
    assert (cut["how"], cut["sent_tokens"] <= 100, EMAIL in str(cut["body"])) == (
        "head",
        True,
        False,
    )
    assert_world(mill)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_asks_too_often_waits_and_nobody_else(
    settings: Settings, database: Database, valkey: Valkey
) -> None:
    with RunningGateway(settings.model_copy(update={"redis_url": valkey.url}), database) as gateway:
        often, other = gateway.key("often"), gateway.key("other")
        with database.write() as connection:
            assert set_tenant_rpm(connection, "often", 12)
        client = gateway.client(often)
        assert [len(list(client.files.list())) for _ in range(2)] == [0, 0]
        with pytest.raises(RateLimitError, match="requests a minute") as refused:
            client.files.list()
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 5
        assert refused.value.code == "rate_limit_exceeded"
        assert list(gateway.client(other).files.list()) == []
        valkey.stop()
        try:
            assert answered(client) == 200
        finally:
            valkey.start()


def answered(client: OpenAI) -> int:
    """Ask without OpenAI's classes of errors."""
    url = f"{client.base_url}files"
    headers = {"Authorization": f"Bearer {client.api_key}"}
    return httpx2.get(url, headers=headers, timeout=30).status_code
