"""What two leaders of a lane may do to one provider batch, when one of them is late."""

from sqlalchemy import Connection

from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.provider_batches import (
    ProviderBatch,
    close_up,
    fill,
    intend,
    make_provider_batch,
    not_there,
    open_provider_batches,
    sent,
)
from tests.schema.scene import MODEL, PROVIDER, Scene


def make(connection: Connection, batch: int) -> None:
    make_provider_batch(
        connection,
        "pb",
        batch_id=batch,
        provider=PROVIDER,
        model=MODEL,
        endpoint="chat",
        fingerprint="f",
    )


def read(scene: Scene) -> ProviderBatch:
    with scene.database.read() as connection:
        (one,) = open_provider_batches(connection)
    return one


def test_who_is_late_undoes_nothing_of_what_another_leader_did(scene: Scene) -> None:
    batch = scene.load(2)
    with scene.database.write() as connection:
        make(connection, batch)
        assert fill(connection, "pb", jobs=1, tokens=10)
        assert close_up(connection, "pb")
        assert not fill(connection, "pb", jobs=1, tokens=10), "it takes no more"
    seen_by_both = read(scene)
    with scene.database.write() as connection:
        assert intend(connection, seen_by_both, fingerprint="g")
        assert not intend(connection, seen_by_both, fingerprint="h"), "it is handed in once"
        assert sent(connection, "pb", "batch_1")
        not_there(connection, "pb", "429 rate_limit_exceeded")
    one = read(scene)
    assert (one.state, one.provider_id, one.problem) == ("sent", "batch_1", None)
    assert one.fingerprint == "g", "of the key that handed it in"


def test_that_its_batch_is_paused_is_seen_before_it_is_handed_in(scene: Scene) -> None:
    batch = scene.load(2)
    with scene.database.write() as connection:
        make(connection, batch)
    assert not read(scene).is_paused
    with scene.database.write() as connection:
        pause_batch(connection, batch, "by hand")
    assert read(scene).is_paused
