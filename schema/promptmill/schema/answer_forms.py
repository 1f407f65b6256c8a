"""The form that a prompt asks its answer to have, and what is known of answers that have it or not.

A request asks for JSON, or for JSON by a schema, in our one shape or in a provider's own.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from promptmill.schema.connection import Connection
from promptmill.schema.requests import native_of
from promptmill.schema.statement import Statement

INVALID: Final = "invalid_answer"
"""The `error_code` of an attempt whose answer has not the form, and that is not kept."""
_OBJECT: Final = {"type": "object"}
_LOOK: Final = 100


class OnInvalid(StrEnum):
    """What becomes of an answer that has not the form."""

    KEEP = "keep"
    """it is stored, and marked"""
    RETRY = "retry"
    """the prompt is asked once more"""
    REPAIR = "repair"
    """the same, with the answer and what is wrong with it"""
    FAIL = "fail"
    """the job fails"""


class Validity(StrEnum):
    """Whether a stored answer has the form."""

    VALID = "valid"
    INVALID = "invalid"
    REPAIRED = "repaired"
    """valid, after one that was not was sent back"""
    UNCHECKED = "unchecked"
    """the schema itself is none"""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at an answer found."""

    validity: Validity
    problem: str | None = None
    """where and by which rule it is invalid: no word of the answer"""


def form_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON schema that the answer to *body* has to follow; None: it may be anything."""
    native = native_of(body)
    return _unified(body) if native is None else _native(native)


_attempts = Statement(
    """
select a.fence, a.error_code, b.body_base64 from attempts a
left join attempt_bodies b on b.job_id = a.job_id and b.fence = a.fence
where a.job_id = :job_id order by a.fence desc limit :most"""
)


def invalid_answer_of(connection: Connection, job_id: int) -> bytes | None:
    """Return the answer of this job that had not the form, since it was last begun anew."""
    expected: int | None = None
    for fence, code, body in _attempts.fetch(connection, job_id=job_id, most=_LOOK):
        if expected is not None and fence != expected:
            return None  # a replay left a gap: what is before it does not count
        if code == INVALID:
            return base64.b64decode(body or "")
        expected = fence - 1
    return None


def _unified(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = body.get("response_format")
    if not isinstance(form, Mapping):
        return None
    if form.get("type") == "json_object":
        return _OBJECT
    named = form.get("json_schema")
    return _mapping(named.get("schema")) if isinstance(named, Mapping) else None


def _native(native: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Look where Anthropic, Gemini and OpenAI's responses have it."""
    output, text = native.get("output_config"), native.get("text")
    for place in (output, text):
        if isinstance(place, Mapping) and isinstance(form := place.get("format"), Mapping):
            return _mapping(form.get("schema"))
    config = native.get("generationConfig") or native.get("generation_config")
    if isinstance(config, Mapping):
        return _mapping(config.get("responseJsonSchema") or config.get("response_json_schema"))
    return None


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None
