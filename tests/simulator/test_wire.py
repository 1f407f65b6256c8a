"""HTTP in: however the bytes are cut on their way, the same requests come out."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.simulator.wire import MAX_BODY, BadHttp, Parser, Reply, Request, render_head

STREAM = (
    b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: x\r\nX-Client-Request-Id:  a \r\n"
    b"content-length: 5\r\n\r\nfirst"
    b"GET /v1/models HTTP/1.1\r\n\r\n"
    b"POST /v1/models/a%2Fb:generateContent HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nsec\r\n4;x=y\r\nond!\r\n0\r\n\r\n"
    b"POST / HTTP/1.0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


def parse(pieces: list[bytes]) -> list[Request]:
    parser, requests = Parser(), []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next()) is not None:
            requests.append(request)
    return requests


@given(st.lists(st.integers(0, len(STREAM)), max_size=30).map(sorted))
def test_requests_do_not_depend_on_how_their_bytes_arrive(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    requests = parse(pieces)
    assert [request.body for request in requests] == [b"first", b"", b"second!", b""]
    assert [request.head.path for request in requests] == [
        "/v1/messages",
        "/v1/models",
        "/v1/models/a/b:generateContent",
        "/",
    ]


def test_headers_are_found_by_their_names_in_lower_case() -> None:
    (request, *_) = parse([STREAM])
    assert request.head.header(b"x-client-request-id") == "a"
    assert request.head.header(b"absent") == ""
    assert request.head.query == "beta=true"


def test_a_connection_is_kept_unless_the_client_says_otherwise() -> None:
    assert [request.head.keep_alive for request in parse([STREAM])] == [True, True, True, False]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_what_is_not_http_is_refused_with_a_status(data: bytes, status: int) -> None:
    with pytest.raises(BadHttp) as caught:
        parse([data])
    assert caught.value.status == status


def test_a_reply_tells_the_length_of_its_body_and_a_status_nobody_knows() -> None:
    head = render_head(Reply(599, b"body", [("x", "y")]), keep_alive=False)
    assert head.startswith(b"HTTP/1.1 599 Unknown\r\n")
    assert b"content-length: 4\r\n" in head
    assert head.endswith(b"x: y\r\nconnection: close\r\n\r\n")
