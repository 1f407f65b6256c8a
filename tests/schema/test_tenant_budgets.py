"""What a tenant has used: of its open batches one by one, of all that have ended as one sum."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Thread

import pytest

from benchmarks.growth_cases.touched import touched
from promptmill.schema.database import Connection, Database
from promptmill.schema.moves import endings, steering
from promptmill.schema.moves.allowances import Standing, divide_budget, standing_of
from promptmill.schema.moves.carrying import carry, tenants_to_carry
from promptmill.schema.moves.loading import create_batch, insert_jobs, open_batch
from promptmill.schema.moves.spending import Reservation
from promptmill.schema.states import JobState
from promptmill.schema.tenants import Scope, add_key, all_tenants, set_tenant_budget
from tests.schema.scene import ANSWER, ANSWERED, REFUSED, Scene, new_batch, new_jobs

BUDGET = 1000
PAID = replace(ANSWERED, cost_micros=30)
FEW, MANY = 20, 2000
MOST_GROWTH = 1.2
ENDED = """
insert into batches (id, name, state, identity, identity_no, input_name, options, created_at,
  tenant_id, budget_micros)
with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})
select 1000 + i, 'ended', 'open', 'ended', i, 'made.jsonl', '{{}}', {at}, {tenant}, 9 from n"""
AT = {"sqlite": "'2026-11-22T11:00:00.000Z'", "postgresql": "timestamptz '2026-11-22 11:00Z'"}
SPENT = (
    "insert into batch_spending (batch_id, spent_micros) select id, 1 from batches where id > 1000"
)


@dataclass
class Till:
    """A tenant with a budget, on a scene."""

    scene: Scene
    tenant: int

    def batch(self, jobs: int = 1) -> int:
        """Make a batch of the tenant, and divide."""
        batch = self.scene.load(jobs, tenant_id=self.tenant)
        self.divide()
        return batch

    def call(self, batch: int) -> tuple[int, int]:
        """Claim a job of a batch of which the call can cost 100; return it and its fence."""
        (hint,) = self.scene.queue(batch, most=1)
        asked = {hint.job_id: Reservation(batch, 100)}
        ((job, fence),) = self.scene.claim(hint, reservations=asked).items()
        return job, fence

    def divide(self) -> int:
        with self.scene.database.write() as connection:
            return divide_budget(connection, self.tenant)

    def carry(self) -> int:
        with self.scene.database.write() as connection:
            return carry(connection, self.tenant)

    def to_carry(self) -> list[int]:
        with self.scene.database.read() as connection:
            return tenants_to_carry(connection)

    @property
    def now(self) -> Standing:
        with self.scene.database.read() as connection:
            return standing_of(connection, self.tenant)

    def costs(self) -> dict[str, tuple[int, int]]:
        """Tell of each tenant how many batches it has, and what they cost."""
        with self.scene.database.read() as connection:
            return {one.name: (one.batches, one.cost_micros) for one in all_tenants(connection)}

    def budget_of(self, batch: int) -> int:
        return int(self.scene.sql(f"select * from batches where id = {batch}")[0].budget_micros)


@pytest.fixture
def till(scene: Scene) -> Till:
    with scene.database.write() as connection:
        add_key(connection, "ours", label="", scopes=list(Scope))
        tenant = set_tenant_budget(connection, "ours", BUDGET)
    assert tenant
    return Till(scene, tenant)


def replay(till: Till, batch: int) -> None:
    with till.scene.database.write() as connection:
        assert steering.replay_jobs(connection, batch, [JobState.FAILED])


def replay_by_an_older_release(till: Till, batch: int) -> None:
    again = "state = 0, generation = generation + 1, fence = fence + 1, finished_at = null"
    assert till.scene.order(f"update jobs set {again} where batch_id = {batch}")


def test_what_ended_batches_used_is_kept_and_they_are_read_no_more(till: Till) -> None:
    first, second = till.batch(), till.batch()
    assert (till.budget_of(first), till.budget_of(second)) == (500, 500)
    till.scene.close(endings.finish(*till.call(first), PAID, ANSWER))
    assert (till.to_carry(), till.carry(), till.to_carry()) == ([till.tenant], 1, [])
    assert [one.batch_id for one in till.now.batches] == [second]
    assert (till.now.carried, till.now.left) == (30, BUDGET - 30)
    assert till.divide() == 1
    assert (till.budget_of(first), till.budget_of(second)) == (30, BUDGET - 30)
    till.scene.assert_sums()


def test_what_a_tenant_s_batches_cost_is_listed_by_sums_that_are_there(till: Till) -> None:
    with till.scene.database.write() as connection:
        add_key(connection, "others", label="", scopes=list(Scope))
    first, second = till.batch(), till.batch()
    till.scene.close(endings.finish(*till.call(first), PAID, ANSWER))
    till.call(second)
    assert till.costs() == {"ours": (2, 30), "others": (0, 0)}, "what a call can cost is not yet"
    till.carry()
    till.scene.order("delete from usage_hourly")  # a row an hour, model and kind of end: not read
    assert till.costs() == {"ours": (2, 30), "others": (0, 0)}


def test_a_late_answer_to_a_call_of_a_batch_that_has_ended_is_counted(till: Till) -> None:
    batch = till.batch()
    job, fence = till.call(batch)
    till.scene.rescue((job, fence))
    with till.scene.database.write() as connection:
        steering.cancel_batch(connection, batch)
        steering.cancel_jobs(connection, batch)
    till.carry()
    assert (till.now.carried, till.now.batches) == (100, [])
    till.scene.close(endings.finish(job, fence, PAID, ANSWER))
    assert (till.now.carried, till.now.left) == (30, BUDGET - 30)
    till.scene.assert_sums()


@pytest.mark.parametrize("replay", [replay, replay_by_an_older_release])
def test_a_batch_that_is_replayed_is_counted_by_itself_and_gets_a_part_again(
    till: Till, replay: Callable[[Till, int], object]
) -> None:
    batch = till.batch()
    job, fence = till.call(batch)
    till.scene.close(endings.fail(job, fence, replace(REFUSED, cost_micros=40)))
    till.carry()
    replay(till, batch)
    assert (till.now.carried, [one.used for one in till.now.batches]) == (0, [40])
    assert (till.budget_of(batch), till.carry()) == (40, 0)
    with till.scene.database.write() as connection:
        set_tenant_budget(connection, "ours", 2 * BUDGET)
    till.divide()
    assert till.budget_of(batch) == 2 * BUDGET
    till.scene.assert_sums()


def test_batches_from_before_a_budget_are_counted_by_what_they_cost(till: Till) -> None:
    batch = till.scene.load(1, tenant_id=till.tenant)
    till.scene.order("delete from batch_spending")  # as releases without carrying left it
    till.scene.order("update batches set budget_micros = null")
    (hint,) = till.scene.queue(batch)
    ((job, fence),) = till.scene.claim(hint).items()
    till.scene.close(endings.finish(job, fence, PAID, ANSWER))
    assert till.now.left == BUDGET - 30
    till.carry()
    assert (till.now.carried, till.now.left) == (30, BUDGET - 30)
    till.scene.assert_sums()


def test_two_batches_that_open_at_once_are_not_given_the_same_money(till: Till) -> None:
    database = till.scene.database
    first, second = loading(till, "first"), loading(till, "second")
    with database.write() as connection:
        begin(connection, till, first)
        other = Thread(target=begin_alone, args=(database, till, second))
        other.start()
    other.join(60)
    assert [till.budget_of(batch) for batch in (first, second)] == [BUDGET // 2, BUDGET // 2]


@pytest.mark.parametrize("act", [standing_of, divide_budget])
def test_neither_a_look_nor_a_division_reads_more_where_more_has_ended(
    till: Till, act: object
) -> None:
    assert callable(act)
    database, grown = till.scene.database, []
    till.scene.load(1, tenant_id=till.tenant)
    for count in (FEW, MANY):
        with database.write() as connection:
            connection.exec_driver_sql("delete from batches where id > 1000")
            connection.exec_driver_sql("delete from batch_spending where batch_id > 1000")
            verbatim = connection.execution_options(no_parameters=True)
            at = AT[database.dialect]
            verbatim.exec_driver_sql(ENDED.format(count=count, at=at, tenant=till.tenant))
            verbatim.exec_driver_sql(SPENT)
            assert carry(connection, till.tenant, most=MANY + 1) == count
            connection.exec_driver_sql("analyze")
        grown.append(touched(database, lambda connection: act(connection, till.tenant)))
    few, many = grown
    assert 0 < many <= MOST_GROWTH * few, grown


def loading(till: Till, name: str) -> int:
    """Make a batch of the tenant that is ready to be opened."""
    with till.scene.database.write() as connection:
        batch = create_batch(connection, new_batch(name, total=1, tenant_id=till.tenant))
        insert_jobs(connection, batch, new_jobs(1))
    return batch


def begin(connection: Connection, till: Till, batch: int) -> None:
    """Open a batch as the gateway does."""
    assert open_batch(connection, batch)
    assert divide_budget(connection, till.tenant)


def begin_alone(database: Database, till: Till, batch: int) -> None:
    with database.write() as connection:
        begin(connection, till, batch)
