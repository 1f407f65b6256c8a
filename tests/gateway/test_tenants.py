"""What a tenant may spend and how often it may ask, whatever others do."""

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI, RateLimitError

from promptmill.schema.database import Database
from promptmill.schema.moves.allowances import Used, lift_budgets, parts_of
from promptmill.schema.settings import Settings
from promptmill.schema.tenants import set_tenant_budget, set_tenant_rpm
from tests.gateway.orders import ended, line, order
from tests.services.running_gateway import RunningGateway
from tests.services.running_mill import MODELS, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

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
    assert poor is not None
    both = [
        order(client, *(line(f"{name}{n}", MODELS["openai"], f"{name} {n}") for n in range(12)))
        for name in "ab"
    ]
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
