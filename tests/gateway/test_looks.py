"""What is kept of looks at a batch is never older than what its client did to it."""

from promptmill.gateway.looks import Looks

BATCH = (1, "batch_1")


def test_an_answer_is_given_again_to_its_tenant_until_the_batch_is_changed() -> None:
    looks = Looks()
    assert looks.fresh(BATCH) is None
    keep = looks.begin()
    keep(BATCH, b"{}")
    assert looks.fresh(BATCH) == b"{}"
    assert looks.fresh((2, "batch_1")) is None
    looks.forget(BATCH)
    assert looks.fresh(BATCH) is None


def test_what_was_read_before_a_change_is_not_kept() -> None:
    looks = Looks()
    keep = looks.begin()
    looks.forget(BATCH)
    keep(BATCH, b"{}")
    assert looks.fresh(BATCH) is None
