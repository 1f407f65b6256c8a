"""Server-sent events are the same in whatever pieces they come, and as the standard reads them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.workers.providers.sse import Events

STREAMS: dict[str, tuple[bytes, list[bytes]]] = {
    "one after the other": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "names, ids and comments": (
        b": hello\nevent: x\nid: 7\nretry: 9\ndata: a\n\n:\n\ndata: b\n\n",
        [b"a", b"b"],
    ),
    "carriage returns": (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
    "several lines": (b"data: a\ndata:b\ndata:\ndata:  c\n\n", [b"a\nb\n\n c"]),
    "a mark of the byte order": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "an end without an empty line": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "separators that are none": (
        "data: a\u2028b\x0bc\x85\n\n".encode(),
        ["a\u2028b\x0bc\x85".encode()],
    ),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 80), max_size=9))
def test_events_do_not_depend_on_where_the_bytes_are_cut(name: str, cuts: list[int]) -> None:
    stream, events = STREAMS[name]
    reader = Events()
    found: list[bytes] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        found += reader.feed(stream[start:end])
    assert found + reader.finish() == events
    assert reader.stray == []


def test_lines_of_no_event_are_kept_apart() -> None:
    reader = Events()
    assert reader.feed(b'data: a\n\n{\n"error": {}\n}\n') == [b"a"]
    assert reader.finish() == []
    assert b"\n".join(reader.stray) == b'{\n"error": {}\n}'
