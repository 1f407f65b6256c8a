"""A JSON schema as a `Schema` of Gemini's own (https://ai.google.dev/api/caching#Schema).

Gemini's Batch API needs it: by `responseJsonSchema` its answers have the wrong shape, where the
same requests, made one by one, have the right one (crmne/ruby_llm#894, August 2026). Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_SAME: Final = frozenset(
    {"title", "description", "pattern", "minimum", "maximum", "minLength", "maxLength"}
    | {"minItems", "maxItems", "minProperties", "maxProperties"}
)
_UNSAID: Final = frozenset({"$schema", "$id", "$comment", "$defs", "definitions", "default"})
"""what holds no answer back"""
_FORMATS: Final = frozenset({"date-time", "float", "double", "int32", "int64"})
"""others are refused, and are no more than a remark in JSON Schema"""
_DEEPEST: Final = 30
_NULL: Final = "null"


class _NoWordsError(Exception):
    """There is something that Gemini's schemas cannot say."""


def in_own_words(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say the schema of a request's answer in Gemini's words, where it has them."""
    config = request.get("generationConfig", {})
    own = own_schema(config.get("responseJsonSchema"))
    if own is None:
        return request
    others = {name: value for name, value in config.items() if name != "responseJsonSchema"}
    return {**request, "generationConfig": {**others, "responseSchema": own}}


def own_schema(schema: Any) -> dict[str, Any] | None:
    """Say *schema* in Gemini's words; None where it has no words for some of it."""
    try:
        return _said(schema, schema, 0)
    except _NoWordsError:
        return None


def _said(schema: Any, root: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        raise _NoWordsError
    if "$ref" in schema:
        others = {name: value for name, value in schema.items() if name != "$ref"}
        return _said({**_resolved(schema["$ref"], root), **others}, root, depth + 1)
    words: dict[str, Any] = {}
    for name, value in schema.items():
        if name not in _UNSAID:
            words |= _word(name, value, root, depth + 1)
    return words


def _word(name: str, value: Any, root: Any, depth: int) -> dict[str, Any]:
    match name:
        case "type":
            return _type(value)
        case "enum" | "const":
            return _enum(value if name == "enum" else [value])
        case "properties" if isinstance(value, Mapping):
            said = {key: _said(part, root, depth) for key, part in value.items()}
            return {"properties": said, "propertyOrdering": list(said)}
        case "items":
            return {"items": _said(value, root, depth)}
        case "anyOf" | "oneOf" if isinstance(value, Sequence):
            return _any_of(value, root, depth)
        case "required":
            return {"required": value} if value else {}
        case "format":
            return {"format": value} if value in _FORMATS else {}
        case "additionalProperties" if isinstance(value, bool):
            return {}  # it writes none that is not named
        case _ if name in _SAME:
            return {name: value}
    raise _NoWordsError


def _type(value: Any) -> dict[str, Any]:
    kinds = [value] if isinstance(value, str) else value
    others = [kind for kind in kinds if kind != _NULL]
    if len(others) > 1:
        raise _NoWordsError
    return _or_null({"type": (others or [_NULL])[0].upper()}, 0 < len(others) < len(kinds))


def _enum(values: Sequence[Any]) -> dict[str, Any]:
    texts = [value for value in values if value is not None]
    if not all(isinstance(text, str) for text in texts):
        raise _NoWordsError
    return _or_null({"enum": texts}, len(texts) < len(values))


def _any_of(members: Sequence[Any], root: Any, depth: int) -> dict[str, Any]:
    others = [one for one in members if one != {"type": _NULL}]
    said = [_said(one, root, depth) for one in others]
    return _or_null(said[0] if len(said) == 1 else {"anyOf": said}, len(others) < len(members))


def _or_null(words: dict[str, Any], nullable: bool) -> dict[str, Any]:
    return {**words, "nullable": True} if nullable else words


def _resolved(reference: Any, root: Any) -> Mapping[str, Any]:
    """Find what *reference* names in the same document."""
    found = root
    for step in str(reference).removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise _NoWordsError
    return found
