"""Free places go by priority, then to those who have least."""

from hypothesis import given
from hypothesis import strategies as st

from promptmill.producer.dispatching.fairness import allot
from promptmill.schema.backlog import BatchBacklog, Scope

SCOPE = Scope("openai", "m")


def batch(
    batch_id: int,
    pending: int,
    *,
    queued: int = 0,
    running: int = 0,
    priority: int = 0,
    owner: int | None = None,
) -> BatchBacklog:
    return BatchBacklog(batch_id, priority, SCOPE, pending, queued, running, 0, owner)


def test_the_batch_with_less_in_work_is_filled_up_first() -> None:
    batches = [batch(1, 100, running=30), batch(2, 100), batch(3, 100, running=10)]
    assert allot(30, batches) == {2: 20, 3: 10}


def test_a_place_that_cannot_be_shared_goes_to_the_smallest_batch() -> None:
    assert allot(5, [batch(1, 100), batch(2, 3)]) == {1: 2, 2: 3}


def test_of_equal_batches_the_older_gets_it() -> None:
    assert allot(1, [batch(2, 9), batch(1, 9)]) == {1: 1}


def test_a_tenant_with_many_batches_gets_no_more_than_one_with_one() -> None:
    many = [batch(n, 100, owner=1) for n in range(2, 102)]
    shares = allot(60, [*many, batch(102, 100, owner=2), batch(103, 100)])
    assert (shares[102], shares[103]) == (20, 20)
    assert sorted(shares.values(), reverse=True)[2:] == [1] * 20
    some = [batch(1, 100, owner=1, running=10), batch(2, 3, owner=1), batch(3, 100, owner=2)]
    assert allot(14, some) == {3: 12, 2: 2}


def test_a_full_queue_gets_nothing() -> None:
    assert allot(10, [batch(1, 100, queued=10)]) == {}
    assert allot(10, [batch(1, 100, queued=50)]) == {}


def test_urgent_jobs_have_a_depth_of_their_own_and_bulk_has_not() -> None:
    bulk = batch(1, 100, queued=10)
    assert allot(10, [bulk, batch(2, 100, priority=3)]) == {2: 10}
    assert allot(10, [batch(1, 100), batch(2, 4, priority=3)]) == {1: 6, 2: 4}


@given(
    st.integers(0, 200),
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 20), st.integers(-1, 1)),
        max_size=8,
    ),
)
def test_shares_are_whole_wanted_and_fair(
    target: int, rows: list[tuple[int, int, int, int]]
) -> None:
    batches = {
        n: batch(n, pending, queued=queued, running=running, priority=priority)
        for n, (pending, queued, running, priority) in enumerate(rows)
    }
    shares = allot(target, list(batches.values()))
    assert all(0 < share <= batches[n].pending for n, share in shares.items())
    urgent = sum(one.queued + shares.get(n, 0) for n, one in batches.items() if one.priority > 0)
    every = sum(one.queued + shares.get(n, 0) for n, one in batches.items())
    before = sum(one.queued for one in batches.values())
    if shares:
        assert urgent <= max(target, sum(b.queued for b in batches.values() if b.priority > 0))
        assert every <= max(target, before) or set(shares) <= {
            n for n, one in batches.items() if one.priority > 0
        }
    for n in shares:
        for other, one in batches.items():
            if one.priority == batches[n].priority and shares.get(other, 0) < one.pending:
                mine = batches[n].queued + batches[n].running + shares[n]
                theirs = one.queued + one.running + shares.get(other, 0)
                assert mine <= theirs + 1
