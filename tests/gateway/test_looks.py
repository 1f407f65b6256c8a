"""Looks at a batch: never older than what its client did to it, and answered at once."""

import socket

import pytest

from promptmill.gateway.looks import Looks
from promptmill.gateway.server import bound
from promptmill.schema.errors import ServiceError

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


def test_an_address_where_nobody_can_listen_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = f"cannot listen on 127.0.0.1:{port}: address already in use; choose another --port"
        with pytest.raises(ServiceError, match=told):
            bound("127.0.0.1", port)
    with pytest.raises(ServiceError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        bound("192.0.2.1", 0)  # of nobody's, by RFC 5737


def test_no_part_of_an_answer_waits_until_its_client_says_that_the_part_before_came() -> None:
    with bound("127.0.0.1", 0) as listening, socket.socket() as client:
        client.connect(listening.getsockname())
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
