"""The JSON schema of `--schema`, read and made such that providers take it."""

from pathlib import Path
from typing import Any, NoReturn

import msgspec

from promptmill.producer.reading.unreadable import unreadable
from promptmill.schema.errors import UsageError

_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_UNDER = ("items", "additionalProperties", "anyOf", "allOf", "oneOf", "prefixItems", "not")
_NAMED = ("properties", "$defs", "definitions")


def read_schema(given: str) -> dict[str, Any]:
    """Read *given*: the schema itself, or the path of a file that holds it. Raises UsageError.

    Every object of it is closed (`additionalProperties: false`) unless it says otherwise: OpenAI
    and Anthropic take no other.
    """
    where, text = "--schema", given
    if not given.lstrip().startswith("{"):
        where = f"--schema {given}"
        try:
            text = Path(given).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = unreadable(error)
            msg = f"{where} cannot be read: {why}; give a file, or the schema itself: '{{...}}'"
            raise UsageError(msg) from None
    try:
        schema = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        msg = f"{where} is not JSON: {error}"
        raise UsageError(msg) from None
    return checked_schema(schema, where=where)


def checked_schema(schema: Any, *, where: str = "schema") -> dict[str, Any]:
    """Return *schema* with its objects closed. Raises UsageError unless it describes an object."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        msg = (
            f"{where} does not describe an object, which is what providers answer with: write"
            ' {"type": "object", "properties": {"label": {"type": "string"}},'
            ' "required": ["label"]}'
        )
        raise UsageError(msg)
    _check_types(schema, where)
    closed = _closed(schema)
    assert isinstance(closed, dict)  # noqa: S101  as it was
    _check_usable(closed, where)
    return closed


def requires_all(schema: Any) -> bool:
    """Tell whether every object requires all its properties: then OpenAI enforces the schema.

    https://platform.openai.com/docs/guides/structured-outputs
    """
    if isinstance(schema, list):
        return all(map(requires_all, schema))
    if not isinstance(schema, dict):
        return True
    named = schema.get("properties")
    if isinstance(named, dict):
        required = schema.get("required")
        if not isinstance(required, list) or {*named} != {*map(str, required)}:
            return False
    return all(map(requires_all, _parts(schema)))


def _check_usable(schema: dict[str, Any], where: str) -> None:
    """Refuse what answers cannot be held against, as workers do."""
    import jsonschema_rs  # noqa: PLC0415  11 MiB, for those who give a schema

    def fetch_nothing(uri: str) -> NoReturn:
        msg = f"it refers to {uri}, and schemas are not fetched"
        raise ValueError(msg)

    try:
        jsonschema_rs.validator_for(schema, retriever=fetch_nothing)
    except ValueError as error:
        msg = f"{where} cannot be used: {str(error).splitlines()[0][:200]}"
        raise UsageError(msg) from None


def _check_types(schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        kind = schema.get("type")
        for one in kind if isinstance(kind, list) else [kind]:
            if kind is not None and one not in _TYPES:
                msg = f"{where}: {one!r} is no type of JSON schema: use {', '.join(sorted(_TYPES))}"
                raise UsageError(msg)
    for part in _parts(schema) if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            _check_types(part, where)


def _parts(schema: dict[str, Any]) -> list[Any]:
    """List the schemas that *schema* is made of."""
    parts = [schema[key] for key in _UNDER if key in schema]
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            parts += schema[key].values()
    return parts


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = dict(schema)
    for key in _UNDER:
        if key in schema:
            closed[key] = _closed(schema[key])
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            closed[key] = {name: _closed(part) for name, part in schema[key].items()}
    if schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
