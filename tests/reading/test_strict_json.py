"""The fast reader and the slow one are of one opinion, and nothing is changed on the way."""

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptmill.producer.reading.chat import chat_prompt
from promptmill.producer.reading.lines import Block, Line
from promptmill.producer.reading.openai_batch import read_request
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.strict_json import canonical, decode_exactly, decode_object
from promptmill.producer.reading.usual_line import read_usual
from promptmill.schema.errors import InputError

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | integers | floats | texts
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(texts, v, max_size=4)
)
objects = st.dictionaries(texts, values, max_size=5)
content = texts | st.lists(st.fixed_dictionaries({"type": texts, "x": values}), min_size=1)
roles = st.sampled_from(["system", "user", "assistant", "developer", "tool"])
messages = st.lists(st.fixed_dictionaries({"role": roles, "content": content}), min_size=1)
usual_bodies = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": roles, "content": texts}), min_size=1)},
    optional={"max_tokens": st.integers(1, 9999), "temperature": scalars, "seed": integers}
    | {"stop": scalars, "top_p": values, "model": st.text("abc:-", min_size=1), "user": texts},
)
spellings = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "separators": st.sampled_from([(",", ":"), (" ,\t", " : ")])}
)


def line_of(value: Any, **spelling: Any) -> Line:
    return Line("in.jsonl", 1, json.dumps(value, **spelling).encode())


def verdict(read: Callable[[Line], Any], line: Line) -> Any:
    try:
        return read(line)
    except InputError as error:
        return error.problem


@given(objects, spellings)
def test_any_object_is_read_and_written_exactly(
    value: dict[str, Any], spelling: dict[str, Any]
) -> None:
    read = decode_object(line_of(value, **spelling))
    assert read == value
    assert json.loads(canonical(read)) == value


# What JSON is made of, put together at random: most of it is broken, some of it in a subtle way.
pieces = st.sampled_from(
    [
        '{"a":',
        '"a":',
        '{"b" : ',
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"a"',
        '"b:"',
        '"\\u003a"',
        '":"',
        '"\\u0061":',
        "1",
        "-0",
        "1.50",
        "1e400",
        "9223372036854775808",
        "null",
        "NaN",
        '"\\u0000"',
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '"é"',
        '"\\":"',
        '"\\\\":1',
        " ",
        "\t",
        "\r",
        "\x01",
    ]
)
near_json = st.lists(pieces, max_size=12).map("".join)
with_twins = st.lists(st.tuples(texts | st.just("a"), values), min_size=1, max_size=4).map(
    lambda pairs: "{" + ",".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in pairs) + "}"
)


@settings(max_examples=400)
@given(near_json | near_json.map(lambda text: '{"a":' + text + "}") | with_twins)
def test_the_fast_reader_and_the_slow_one_agree(text: str) -> None:
    line = Line("in.jsonl", 1, text.encode())
    assert verdict(decode_object, line) == verdict(decode_exactly, line)


@settings(max_examples=300)
@given(st.lists(st.tuples(usual_bodies, st.text("ab:\u00e9")), min_size=1, max_size=3), spellings)
def test_usual_lines_are_read_as_any_other_line_is(
    asked: list[tuple[dict[str, Any], str]], spelling: dict[str, Any]
) -> None:
    outer = {"method": "POST", "url": "/v1/chat/completions"}
    raws = [line_of({**outer, "custom_id": n, "body": b}, **spelling).raw for b, n in asked]
    usual = read_usual(Block("in.jsonl", 1, b"\n".join(raws)), None)
    for number, prompt in enumerate(usual or (), 1):
        line = Line("in.jsonl", number, raws[number - 1])
        general = chat_prompt(line, read_request(line), system=None, options=ReadOptions())
        assert prompt == general


def test_the_usual_line_is_the_usual_one(batch_line: Callable[..., bytes]) -> None:
    raw = batch_line(model="gpt-4o-mini", max_tokens=9, temperature=0.7)
    assert read_usual(Block("in.jsonl", 1, raw), None) is not None


@pytest.mark.parametrize("unusual", [b"", b" ", b"{}{}", b'{"custom_id":\n"x"}', b"[]"])
def test_a_block_with_an_unusual_line_is_not_read_as_usual(
    unusual: bytes, batch_line: Callable[..., bytes]
) -> None:
    raw = b"\n".join([batch_line(), unusual, batch_line()])
    assert read_usual(Block("in.jsonl", 1, raw), None) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages)
def test_any_messages_survive_exactly(read: Callable[..., Any], sent: list[dict[str, Any]]) -> None:
    body = {"messages": sent}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (prompt,) = read(json.dumps(line).encode())
    assert prompt.request == body


@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        "1.50",
        "1e5",
        "1E+2",
        "0.12345678901234567890",
        "-0.0",
        "1e-400",
        "5e-324",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
    ],
)
def test_a_number_is_written_as_it_was_spelled(number: str, read: Callable[..., Any]) -> None:
    line = b'{"messages": [{"role": "user", "content": "x"}], "seed": '
    (prompt,) = read(line + number.encode() + b"}")
    assert prompt.body.endswith(b'"seed":' + number.encode() + b"}")
    assert math.isclose(prompt.request["seed"], float(number), rel_tol=1e-15)


def test_sixty_four_levels_are_read() -> None:
    line = Line("in.jsonl", 1, b'{"a": ' + b"[" * 63 + b"]" * 63 + b"}")
    assert decode_object(line) == msgspec.json.decode(line.raw)
