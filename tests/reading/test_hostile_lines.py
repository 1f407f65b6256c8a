"""Every hostile line is refused with its number, what is wrong, and what to do."""

import gzip
import json
from collections.abc import Callable

import pytest

from promptmill.schema.errors import InputError

GOOD = b'{"text": "good"}\n\n'  # so that the line at fault is the third
MESSAGES = b'"messages": [{"role": "user", "content": "x"}]'
Refuse = Callable[..., InputError]

LINES: dict[str, tuple[bytes, str]] = {
    "bytes that are no UTF-8": (b'{"text": "caf\xe9"}', "byte 14 of the line is not UTF-8"),
    "an encoded surrogate": (b'{"text": "\xed\xa0\x80"}', "not UTF-8"),
    "an overlong form": (b'{"text": "\xc0\xaf"}', "not UTF-8"),
    "a cut object": (b'{"text": "x"', "this is not JSON: expecting ',' delimiter at column 13"),
    "a trailing comma": (b'{"text": "x",}', "this is not JSON"),
    "single quotes": (b"{'text': 'x'}", "this is not JSON"),
    "two objects in a line": (b'{"text": "x"} {"text": "y"}', "this is not JSON: extra data"),
    "a raw control character": (b'{"text": "a\x01b"}', "this is not JSON: invalid control"),
    "a raw NUL": (b'{"text": "a\x00b"}', "this is not JSON: invalid control"),
    "an array": (b'["x"]', "the line is a JSON array, not an object"),
    "a string": (b'"x"', "the line is a JSON string, not an object"),
    "a null": (b"null", "the line is a JSON null, not an object"),
    "a number": (b"7", "the line is a JSON number, not an object"),
    "a key that is there twice": (b'{"text": "x", "text": "y"}', "the key 'text' is there twice"),
    "a twin spelled by an escape": (b'{"text": "x", "\\u0074ext": "y"}', "'text' is there twice"),
    "a twin deep inside": (b'{"text": "x", "a": [{"b": {"c": 1, "c": 1}}]}', "'c' is there twice"),
    "a twin behind a hidden colon": (
        b'{"text": "\\u003a", "text": "\\u003a"}',
        "'text' is there twice",
    ),
    "a twin with white space": (b'{"text" : "x", "text"\t: "y"}', "'text' is there twice"),
    "NaN": (b'{"text": "x", "n": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"text": "x", "n": -Infinity}', "-Infinity is not JSON"),
    "a number beyond a double": (b'{"text": "x", "n": 1e400}', "beyond the range of a double"),
    "2 to the 63": (b'{"text": "x", "n": 9223372036854775808}', "beyond 64 bits"),
    "below minus 2 to the 63": (b'{"text": "x", "n": -9223372036854775809}', "beyond 64 bits"),
    "five thousand digits": (b'{"text": "x", "n": ' + b"9" * 5000 + b"}", "beyond 64 bits"),
    "65 levels": (b'{"text": ' + b"[" * 64 + b"]" * 64 + b"}", "deeper than 64 levels"),
    "a hundred thousand levels": (b'{"text": ' + b"[" * 100_000, "deeper than 64 levels"),
    "an escaped NUL": (b'{"text": "a\\u0000b"}', "a NUL character in 'text'"),
    "a NUL in a key": (b'{"text": "x", "a\\u0000": 1}', "a NUL character in 'a\\x00'"),
    "half a surrogate pair": (b'{"text": "a\\ud83d"}', "half a surrogate pair in 'text'"),
    "the other half": (b'{"a": [{"text": "\\ude00"}]}', "half a surrogate pair in 'a[0].text'"),
    "an empty custom_id": (b'{"text": "x", "custom_id": ""}', "custom_id is empty"),
    "a long custom_id": (
        b'{"text": "x", "id": "' + b"a" * 257 + b'"}',
        "id has 257 characters, more than 256",
    ),
    "a custom_id with a newline": (b'{"text": "x", "id": "a\\nb"}', "id has a control character"),
    "a custom_id in two pieces": (
        '{"text": "x", "id": "e\u0301"}'.encode(),
        "id is not in Unicode's composed form",
    ),
    "a custom_id that is null": (b'{"text": "x", "id": null}', "id is not a string"),
    "a custom_id that is a float": (b'{"text": "x", "id": 1.5}', "id is not a string"),
    "a prompt that is blank": (b'{"text": " \\n"}', "the prompt is empty"),
    "a prompt that is a number": (b'{"text": 5}', "text is not a string"),
    "a row that says nothing": (
        b'{"review": "x"}',
        "the row has no 'prompt', 'text' or 'messages'",
    ),
    "a row that says two things": (b'{"text": "x", "prompt": "y"}', "both 'prompt' and 'text'"),
    "no messages": (b'{"messages": []}', "messages is missing, empty or not a list"),
    "a message that is a string": (b'{"messages": ["x"]}', "messages[0] is not an object"),
    "a role nobody has": (
        b'{"messages": [{"role": "robot", "content": "x"}]}',
        "messages[0] has no role that is known",
    ),
    "a role that is a list": (
        b'{"messages": [{"role": ["user"], "content": "x"}]}',
        "messages[0] has no role that is known",
    ),
    "a message without content": (
        b'{"messages": [{"role": "user"}]}',
        "messages[0] has no content that can be sent",
    ),
    "content without a type": (
        b'{"messages": [{"role": "user", "content": [{"text": "x"}]}]}',
        "messages[0] has no content that can be sent",
    ),
    "a stream of some kind": (
        b"{" + MESSAGES + b', "stream": "yes"}',
        "stream is neither true nor false",
    ),
    "several answers": (b"{" + MESSAGES + b', "n": 3}', "n asks for several answers"),
    "a token limit that is text": (
        b"{" + MESSAGES + b', "max_tokens": "9"}',
        "max_tokens is not a positive integer",
    ),
    "a token limit of nothing": (
        b"{" + MESSAGES + b', "max_completion_tokens": 0}',
        "max_completion_tokens is not a positive integer",
    ),
    "a model that is no name": (b"{" + MESSAGES + b', "model": ""}', "model is not a name"),
    "a model with an escape": (b"{" + MESSAGES + b', "model": "\\u001b[2J"}', "control character"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_hostile_line_is_refused_with_its_number(name: str, refused: Refuse) -> None:
    line, problem = LINES[name]
    error = refused(GOOD + line + b"\n" + GOOD)
    assert error.line == 3
    assert problem in str(error)
    assert error.fix


@pytest.mark.parametrize("name", LINES)
def test_the_message_is_short_and_harmless_on_a_terminal(name: str, refused: Refuse) -> None:
    error = refused(GOOD + LINES[name][0])
    where, value, fix = str(error).split("\n")
    assert all(character.isprintable() for character in where + value + fix)
    assert len(where) < 400
    assert len(value) < 800  # 120 characters, each of which may be written as an escape


def outer(**changes: object) -> bytes:
    line: dict[str, object] = {
        "custom_id": "b",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"messages": [{"role": "user", "content": "x"}]},
    }
    line.update(changes)
    return json.dumps({key: value for key, value in line.items() if value is not ...}).encode()


BATCH_LINES: dict[str, tuple[bytes, str]] = {
    "another method": (outer(method="GET"), "method is not POST"),
    "another endpoint": (outer(url="/v1/embeddings"), "url is not /v1/chat/completions"),
    "no body": (outer(body=...), "this line is not one"),
    "no custom_id": (outer(custom_id=...), "this line is not one"),
    "a plain row": (b'{"text": "x"}', "no field 'text'"),
    "a body that is a list": (outer(body=[]), "body is not an object"),
    "a field nobody knows": (outer(prio=1), "no field 'prio'"),
    "an empty custom_id": (outer(custom_id=""), "custom_id is empty"),
    "no messages": (outer(body={}), "messages is missing"),
    "a stream of some kind": (
        outer(body={"messages": [{"role": "user", "content": "x"}], "stream": 1}),
        "stream is neither true nor false",
    ),
    "a twin outside": (outer()[:-1] + b', "method": "POST"}', "'method' is there twice"),
    "a twin inside": (outer().replace(b'{"role"', b'{"role": "user", "role"'), "'role' is there"),
    "a wide integer": (outer(body={"seed": 2**63, "messages": []}), "beyond 64 bits"),
    "a NUL": (outer(custom_id="a\0"), "a NUL character in 'custom_id'"),
}


@pytest.mark.parametrize("name", BATCH_LINES)
def test_a_hostile_batch_line_is_refused_with_its_number(name: str, refused: Refuse) -> None:
    line, problem = BATCH_LINES[name]
    error = refused(outer() + b"\n" + line)
    assert error.line == 2
    assert problem in str(error)


FILES: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "there is nothing in it"),
    "blank lines only": (b"\n \r\n\t\n", "there is nothing in it"),
    "a byte order mark only": (b"\xef\xbb\xbf", "there is nothing in it"),
    "UTF-16": ('{"text": "x"}'.encode("utf-16"), "the file is UTF-16"),
    "Parquet": (b"PAR1\x15\x04", "the Parquet file is damaged"),
    "UTF-16 without a mark": ("text\nhallo\n".encode("utf-16-le"), "the file is UTF-16"),
    "a workbook": (b"PK\x03\x04\x14\x00", "this is an Excel workbook or a zip file"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "packed with zstd"),
    "a SQLite database": (b"SQLite format 3\x00", "this is a SQLite database"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "this is no text: byte 9 is NUL"),
    "a JSON array": (b'[\n  {"text": "x"}\n]\n', "one JSON array"),
    "a JSON array in a line": (b'[{"text": "x"}]\n', "one JSON array"),
    "a pretty-printed object": (b'{\n  "text": "x"\n}\n', "this is not JSON"),
    "text": (b"Summarise this.\n", "this is not JSON"),
    "an empty request": (b'{"custom_id": "a", "params": {}}', "messages is missing"),
    "another's empty request": (b'{"key": "a", "request": {}}', "contents is missing"),
    "gzip cut short": (gzip.compress(b'{"text": "x"}\n' * 99)[:-9], "gzip file is damaged"),
    "gzip and then something else": (gzip.compress(b'{"text": "x"}\n') + b"x", "is damaged"),
    "gzip with a flipped bit": (
        gzip.compress(b'{"text": "x"}\n')[:-6] + b"\xff" * 6,
        "gzip file is damaged",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused(name: str, refused: Refuse) -> None:
    data, problem = FILES[name]
    error = refused(data)
    assert problem in str(error)
    assert error.file.endswith("in.jsonl")
