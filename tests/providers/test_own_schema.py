"""JSON schemas in Gemini's own words, which its SDK knows; and those that it has no words for."""

from typing import Any

import pytest
from google.genai import types

from promptmill.workers.providers.gemini.own_schema import in_own_words, own_schema

TEXT = {"type": "string"}
PAIR = {"type": "object", "properties": {"b": TEXT, "a": TEXT}}


@pytest.mark.parametrize(
    ("schema", "own"),
    [
        (TEXT, {"type": "STRING"}),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"type": "null"}, {"type": "NULL"}),
        ({"enum": ["a", None]}, {"enum": ["a"], "nullable": True}),
        ({"const": "a", "description": "one"}, {"enum": ["a"], "description": "one"}),
        (
            {**PAIR, "required": ["a"], "additionalProperties": False},
            {
                "type": "OBJECT",
                "properties": {"b": {"type": "STRING"}, "a": {"type": "STRING"}},
                "propertyOrdering": ["b", "a"],
                "required": ["a"],
            },
        ),
        ({"anyOf": [TEXT, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
        (
            {"oneOf": [TEXT, {"type": "integer", "minimum": 1}]},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER", "minimum": 1}]},
        ),
        (
            {"$defs": {"t": TEXT}, "type": "array", "items": {"$ref": "#/$defs/t", "title": "T"}},
            {"type": "ARRAY", "items": {"type": "STRING", "title": "T"}},
        ),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"type": "string", "format": "uri"}, {"type": "STRING"}),
    ],
)
def test_a_schema_is_said_in_geminis_own_words(schema: dict[str, Any], own: dict[str, Any]) -> None:
    assert own_schema(schema) == own
    assert types.Schema.model_validate(own)  # it refuses fields that it does not know


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"type": ["string", "integer"]},
        {"enum": [1, 2]},
        {"type": "object", "additionalProperties": TEXT},
        {"not": TEXT},
        {"$ref": "#/$defs/none"},
        {"$ref": "https://example.com/schema"},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    ],
)
def test_what_has_no_words_there_is_left_as_it_was(schema: Any) -> None:
    request = {"contents": [], "generationConfig": {"responseJsonSchema": schema}}
    assert in_own_words(request) == request
