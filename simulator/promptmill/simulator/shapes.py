"""Answers that have a shape: a call of a tool, or JSON that follows a schema. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_WORDS = ("mill", "grain", "flour", "river", "wheel", "stone")
_DEEPEST = 12


class Tool(NamedTuple):
    """A function that the model may ask to be called."""

    name: str
    parameters: Mapping[str, Any]
    """JSON schema of an object; empty where there are none"""


class Wish(NamedTuple):
    """What shape the answer is to have."""

    tools: tuple[Tool, ...] = ()
    """those that are to be called now"""
    schema: Mapping[str, Any] | None = None
    """that the text is to follow; None: none"""


PLAIN = Wish()


def chosen(
    tools: Sequence[Tool], *, must: bool, never: bool, only: str | None, after_result: bool
) -> tuple[Tool, ...]:
    """Say what is called: what is named, else the first, and nothing after a result came back."""
    if never or not tools or (after_result and not must):
        return ()
    return tuple(tool for tool in tools if tool.name == only)[:1] or tuple(tools[:1])


def fitting(schema: Mapping[str, Any], sha256: bytes) -> Any:
    """Make a value that follows *schema*, as *sha256* chooses. Unknown keywords are not heard."""
    return _value(schema, schema, iter(_bytes(sha256)), 0)


def _bytes(sha256: bytes) -> Iterator[int]:
    while True:
        yield from sha256


def _value(schema: Any, root: Mapping[str, Any], rng: Iterator[int], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            schema = schema[several][0]
    if "$ref" in schema:
        return _value(_resolved(schema["$ref"], root), root, rng, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][next(rng) % len(schema["enum"])]
    return _typed(schema, root, rng, depth)


def _typed(
    schema: Mapping[str, Any], root: Mapping[str, Any], rng: Iterator[int], depth: int
) -> Any:
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "array":
            count = max(int(schema.get("minItems", 1)), min(1, int(schema.get("maxItems", 1))))
            return [_value(schema.get("items", {}), root, rng, depth + 1) for _ in range(count)]
        case "string":
            return _text(schema, rng)
        case "integer" | "number":
            return _number(schema, rng)
        case "boolean":
            return next(rng) % 2 == 0
        case "null":
            return None
        case _:
            named = schema.get("properties", {})
            return {name: _value(part, root, rng, depth + 1) for name, part in named.items()}


def _resolved(reference: Any, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(step, {}) if isinstance(found, Mapping) and step else found
    return found


def _text(schema: Mapping[str, Any], rng: Iterator[int]) -> str:
    word = _WORDS[next(rng) % len(_WORDS)]
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    text = word * (least // len(word) + 1) if len(word) < least else word
    return text if most is None else text[: int(most)]


def _number(schema: Mapping[str, Any], rng: Iterator[int]) -> int:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = schema.get("maximum", low + 9)
    return int(low) + next(rng) % max(1, int(high) - int(low) + 1)
