r"""JSON as RFC 8259 means it, and nothing that two parsers could read in two ways.

msgspec is fast and refuses NaN, bad UTF-8 and lone surrogates, but it keeps the last of two equal
keys, and takes NUL, any depth and any integer. So a line takes the fast way and is then proven:
written again, it must have as many colons as before. A colon is written in one way only unless it
is spelled `\u003a`, so a missing one is a key that was there twice. Where the proof fails, the
standard library reads the line again, slowly, and its verdict counts.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.numbers import (
    INTEGER_MAX,
    INTEGER_MIN,
    read_float,
    write_float,
)
from promptmill.schema.errors import InputError

MAX_DEPTH = 64

_HIDING = re.compile(rb"\\u00(?:00|3[aA])")
_DECODER = msgspec.json.Decoder(float_hook=read_float)
_ENCODER = msgspec.json.Encoder(enc_hook=write_float)
_CANONICAL = msgspec.json.Encoder(enc_hook=write_float, order="sorted")
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not JSON, or not of the type asked for."""


def decode_object(line: Line) -> dict[str, Any]:
    """Read *line* as one JSON object. Raises InputError that says what is wrong with it."""
    try:
        value = _DECODER.decode(line.raw)
    except DECODE_ERRORS:
        return decode_exactly(line)
    if type(value) is not dict or not has_colons(line.raw, _ENCODER.encode(value).count(b":")):
        return decode_exactly(line)
    return value if is_plain(value) else decode_exactly(line)


def canonical(value: dict[str, Any]) -> bytes:
    """Write *value* compactly with sorted keys: equal values have equal bytes."""
    return _CANONICAL.encode(value)


def has_colons(raw: bytes, colons: int) -> bool:
    """Tell whether a value that holds *colons* when written is all there is in *raw*."""
    return raw.count(b":") == colons and _HIDING.search(raw) is None


def is_plain(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Tell whether *value* nests at most *levels* deep, with no integer beyond 64 bits."""
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is str:
            continue
        if kind is int:
            if not INTEGER_MIN <= item <= INTEGER_MAX:
                return False
        elif (kind is dict or kind is list) and not (levels > 1 and is_plain(item, levels - 1)):
            return False
    return True


def decode_exactly(line: Line) -> dict[str, Any]:
    """Read *line* with the standard library: the verdict where msgspec is not sure."""
    try:
        text = line.raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise line.not_utf8(error) from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_refusing_twins(line),
            parse_int=_refusing_wide_integers(line),
            parse_float=_refusing_wide_floats(line),
            parse_constant=_refusing_constants(line),
        )
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 20) : error.pos + 60]
        raise line.refused(
            problem=f"this is not JSON: {error.msg.lower()} at column {error.pos + 1}",
            fix="write one whole JSON object a line (jq -c . does)",
            value=near,
        ) from None
    except RecursionError:
        raise _too_deep(line) from None
    if not isinstance(value, dict):
        raise line.refused(
            problem=f"the line is a JSON {_kind(value)}, not an object",
            fix="write one JSON object a line; for one big array: jq -c '.[]' FILE",
        )
    _refuse_faults(line, value, ())
    return value


def _refusing_twins(line: Line) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twin = next(name for name in names if names.count(name) > 1)
            raise line.refused(
                problem=f"the key {twin[:60]!r} is there twice in one object",
                fix="keep one of the two; readers disagree about which one counts",
            )
        return found

    return to_dict


def _refusing_wide_integers(line: Line) -> Callable[[str], int]:
    def to_int(text: str) -> int:
        # Python itself refuses to convert thousands of digits, so the length comes first.
        if len(text) > 20 or not INTEGER_MIN <= int(text) <= INTEGER_MAX:
            raise line.refused(
                problem="an integer is beyond 64 bits",
                fix="write it as a string; databases and JSON readers would round it",
                value=text,
            )
        return int(text)

    return to_int


def _refusing_wide_floats(line: Line) -> Callable[[str], float]:
    def to_float(text: str) -> float:
        try:
            return read_float(text)
        except ValueError:
            raise line.refused(
                problem="a number is beyond the range of a double",
                fix="write it as a string, or leave it out",
                value=text,
            ) from None

    return to_float


def _refusing_constants(line: Line) -> Callable[[str], NoReturn]:
    def refuse(text: str) -> NoReturn:
        raise line.refused(
            problem=f"{text} is not JSON",
            fix="write null, or leave the field out (Python: json.dumps(..., allow_nan=False))",
            value=text,
        )

    return refuse


def _refuse_faults(line: Line, value: Any, path: tuple[str | int, ...]) -> None:
    """Refuse depth, NUL and lone surrogates anywhere in *value*."""
    if isinstance(value, str):
        _refuse_characters(line, value, path)
        return
    if not isinstance(value, dict | list):
        return
    if len(path) >= MAX_DEPTH:
        raise _too_deep(line)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(key, str):
            _refuse_characters(line, key, (*path, key))
        _refuse_faults(line, item, (*path, key))


def _refuse_characters(line: Line, text: str, path: tuple[str | int, ...]) -> None:
    found = re.search("[\x00\ud800-\udfff]", text)
    if found is None:
        return
    what = "a NUL character" if found[0] == "\0" else "half a surrogate pair"
    raise line.refused(
        problem=f"{what} in {_written(path)}",
        fix="remove it: databases and providers refuse it",
        value=text[max(0, found.start() - 40) : found.start() + 40],
    )


def _written(path: tuple[str | int, ...]) -> str:
    """Write a path as people do: `body.messages[0].content`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part[:40]}" for part in path]
    return ascii("".join(parts).removeprefix("."))


def _too_deep(line: Line) -> InputError:
    return line.refused(
        problem=f"the line nests deeper than {MAX_DEPTH} levels",
        fix="flatten it, or send it as text",
    )


def _kind(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
