"""Each accident, as a client sees it that speaks HTTP by hand."""

import json
from collections.abc import Callable

import openai
import pytest

from promptmill.simulator import Accident, Row, Simulator
from tests.services.waiting import wait_until
from tests.simulator.clients import RawClient, Sdks

Connect = Callable[[Simulator], RawClient]


def only_row(simulator: Simulator) -> Row:
    """Return the one row of the bill, once its call has ended."""
    wait_until(lambda: simulator.summary().total.open == 0, "the call to end")
    (row,) = simulator.bill()
    return row


def test_a_hang_never_answers_and_is_open_until_the_client_goes(
    simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(Accident.HANG)
    client = connect(simulator)
    client.send()
    wait_until(lambda: simulator.summary().total.open == 1, "the call to arrive")
    client.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.socket.recv(1)
    client.socket.close()
    row = only_row(simulator)
    assert (row.status, row.billed, row.complete) == (0, False, False)


def test_a_drip_sends_one_byte_at_a_time_and_in_the_end_all(
    simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(Accident.DRIP, interval_s=0.0001)
    client = connect(simulator)
    client.send()
    _, body = client.read_answer()
    assert json.loads(body)["object"] == "chat.completion"
    row = only_row(simulator)
    assert (row.status, row.billed, row.complete) == (200, True, True)


def test_a_drip_that_nobody_waits_for_is_billed_and_incomplete(
    simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(Accident.DRIP, interval_s=60)
    client = connect(simulator)
    client.send()
    assert client.socket.recv(4096).startswith(b"HTTP/1.1 200")
    client.socket.close()
    row = only_row(simulator)
    assert (row.status, row.billed, row.complete) == (200, True, False)


def test_a_cut_ends_in_the_middle_of_the_body(simulator: Simulator, connect: Connect) -> None:
    simulator.add_fault(Accident.CUT, after_bytes=7)
    client = connect(simulator)
    client.send()
    head, _, body = client.read_to_end().partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert len(body) == 7
    row = only_row(simulator)
    assert (row.status, row.billed, row.complete) == (200, True, False)


def test_a_reset_is_a_reset(simulator: Simulator, connect: Connect) -> None:
    simulator.add_fault(Accident.RESET)
    client = connect(simulator)
    client.send()
    with pytest.raises(ConnectionResetError):
        client.socket.recv(1)
    row = only_row(simulator)
    assert (row.status, row.billed, row.complete) == (0, True, False)


def test_garbage_is_not_http(simulator: Simulator, connect: Connect) -> None:
    simulator.add_fault(Accident.GARBAGE)
    client = connect(simulator)
    client.send()
    assert not client.read_to_end().startswith(b"HTTP")
    assert only_row(simulator).billed


@pytest.mark.parametrize(
    ("accident", "begins", "is_json"),
    [
        (Accident.EMPTY, b"", False),
        (Accident.HTML, b"<!DOCTYPE html>", False),
        (Accident.EMPTY_OBJECT, b"{}", True),
        (Accident.TRUNCATED, b'{"id":"chatcmpl-', False),
    ],
)
def test_a_wrong_body_arrives_whole_with_status_200_and_is_billed(
    accident: Accident, begins: bytes, is_json: bool, simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(accident)
    client = connect(simulator)
    client.send()
    head, body = client.read_answer()
    assert b"200 OK" in head
    assert body.startswith(begins)
    if not is_json:
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
            json.loads(body)
    row = only_row(simulator)
    assert (row.status, row.billed, row.complete) == (200, True, True)


@pytest.mark.parametrize(
    ("accident", "escape", "character"),
    [(Accident.NUL, rb"\u0000", "\0"), (Accident.SURROGATE, rb"\ud83d", "\ud83d")],
)
def test_text_that_databases_refuse_is_legal_json(
    accident: Accident, escape: bytes, character: str, simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(accident)
    client = connect(simulator)
    client.send()
    _, body = client.read_answer()
    assert escape in body
    assert character in json.loads(body)["choices"][0]["message"]["content"]


def test_a_raw_answer_is_what_the_rule_says(simulator: Simulator, connect: Connect) -> None:
    simulator.add_fault(
        Accident.RAW, status=418, body="teapot", content_type="text/plain", retry_after="soon"
    )
    client = connect(simulator)
    client.send()
    head, body = client.read_answer()
    assert b"HTTP/1.1 418" in head
    assert b"retry-after: soon" in head
    assert body == b"teapot"
    assert not only_row(simulator).billed


def test_an_accident_can_be_billed_or_not_as_the_rule_says(
    simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(Accident.CUT, billed=False)
    client = connect(simulator)
    client.send()
    client.read_to_end()
    assert not only_row(simulator).billed


def test_a_connection_serves_on_after_an_accident_that_spares_it(
    simulator: Simulator, connect: Connect
) -> None:
    simulator.add_fault(Accident.EMPTY, count=1)
    client = connect(simulator)
    for expected in (False, True):
        client.send()
        assert bool(client.read_answer()[1]) is expected


def test_a_cut_is_a_connection_error_to_an_sdk(simulator: Simulator, sdks: Sdks) -> None:
    simulator.add_fault(Accident.CUT)
    with pytest.raises(openai.APIConnectionError):
        sdks.ask("openai", simulator)
    assert simulator.summary().total.requests == 1
