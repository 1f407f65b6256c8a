"""Many connections, large bodies, odd clients."""

import json
from collections.abc import Callable

import pytest

from promptmill.simulator import Simulator
from tests.simulator.clients import RawClient

Connect = Callable[[Simulator], RawClient]


def test_four_hundred_connections_are_served_at_once(
    start: Callable[..., Simulator], connect: Connect
) -> None:
    simulator = start(latency_s=0.3)
    clients = [connect(simulator) for _ in range(400)]
    for client in clients:
        client.send()
    assert all(b"200 OK" in client.read_answer()[0] for client in clients)
    assert simulator.summary().total.complete == 400
    assert simulator.summary().total.max_open > 200


def test_a_connection_serves_one_request_after_the_other(
    simulator: Simulator, connect: Connect
) -> None:
    client = connect(simulator)
    answers = set()
    for number in range(50):
        client.send(f"prompt {number}")
        answers.add(client.read_answer()[1])
    assert len(answers) == 50


def test_requests_sent_ahead_are_answered_in_order(
    start: Callable[..., Simulator], connect: Connect
) -> None:
    simulator = start(latency_s=0.001)
    client = connect(simulator)
    for number in range(20):
        client.send(f"prompt {number} [[{number}]]", "connection: close\r\n" * (number == 19))
    answers = client.read_to_end()
    assert answers.count(b"HTTP/1.1 200 OK") == 20
    assert [row.marker for row in simulator.bill()] == [str(number) for number in range(20)]


def test_a_body_of_some_megabytes_is_read(simulator: Simulator, connect: Connect) -> None:
    client = connect(simulator)
    client.send("x" * 8_000_000)
    _, body = client.read_answer()
    assert json.loads(body)["usage"]["prompt_tokens"] == 2_000_000


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(
    simulator: Simulator, connect: Connect
) -> None:
    client = connect(simulator)
    client.socket.sendall(
        b"PUT /_simulator/config HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    )
    assert client.socket.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.socket.sendall(b"{}")
    assert client.socket.recv(4096).startswith(b"HTTP/1.1 204")


def test_an_answer_that_fills_the_socket_is_complete_only_when_read(
    start: Callable[..., Simulator], connect: Connect
) -> None:
    simulator = start(answer_tokens=4_000_000)
    client = connect(simulator)
    client.send()
    client.socket.recv(1)
    (row,) = simulator.bill()
    assert (row.status, row.complete) == (200, False)
    while client.socket.recv(1 << 20)[-1:] != b"}":
        pass
    assert simulator.summary().total.complete == 1


def test_what_is_not_http_is_told_so_and_cut_off(simulator: Simulator, connect: Connect) -> None:
    client = connect(simulator)
    client.socket.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
    assert client.read_to_end().startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", '{"model": "gpt-4o"}', '{"model": "m", "messages": []}', '"\\ud800"'],
)
def test_a_body_that_cannot_be_read_is_refused_and_on_the_bill(
    body: str, simulator: Simulator, connect: Connect
) -> None:
    client = connect(simulator)
    client.socket.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    )
    head, answer = client.read_answer()
    assert b"400 Bad Request" in head
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"
    (row,) = simulator.bill()
    assert (row.status, row.billed, row.prompt_sha256) == (400, False, "")
